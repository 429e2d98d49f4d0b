/** What is measured: each a row of the table. */

export interface Subject {
  readonly name: string
  /** `screen` is the studio's own camera picture, `peer` a bare peer connection, `watch` a watch page. */
  readonly view: 'screen' | 'peer' | 'watch'
  /** How the studio publishes. */
  readonly studio: keyof typeof studios
  /** Parameters of the watch page; `muted=1` leaves the peer connection without sound. */
  readonly watch: string
  /** The element that shows the picture: pages without this player show another one. */
  readonly surface: 'canvas' | 'video'
  /** Whether a long run takes it by default. */
  readonly long?: boolean
}

/** Parameters of the studio page. */
export const studios = { WebCodecs: 'mode=webcodecs', MediaRecorder: 'mode=mediarecorder' } as const

/**
 * What the others are compared with. A peer connection holds the picture back until its sound is there, so who is muted is
 * compared with one that has no sound.
 */
export const references = { heard: 'WebRTC, sound heard', muted: 'WebRTC, picture only' } as const

const codecs = { view: 'watch', studio: 'WebCodecs', surface: 'canvas' } as const
const source = { view: 'watch', studio: 'WebCodecs', surface: 'video' } as const
const recorder = { view: 'watch', studio: 'MediaRecorder' } as const

export const muted = 'muted=1'

/** The name of the row that a subject is compared with. */
export const referenceOf = ({ view, watch }: Subject): string =>
  view === 'screen' || watch.endsWith(muted) ? references.muted : references.heard

export const subjects: readonly Subject[] = [
  { name: 'camera to screen', view: 'screen', studio: 'WebCodecs', watch: '', surface: 'video' },
  { name: references.heard, view: 'peer', studio: 'WebCodecs', watch: '', surface: 'video' },
  { name: references.muted, view: 'peer', studio: 'WebCodecs', watch: muted, surface: 'video' },
  { name: 'WebCodecs, sound heard', ...codecs, watch: '' },
  { name: 'WebCodecs, muted', ...codecs, watch: muted },
  { name: 'MediaSource, sound heard', ...source, watch: 'player=mse', long: true },
  { name: 'MediaSource, muted', ...source, watch: `player=mse&${muted}` },
  { name: 'MediaSource, sound heard, no chasing', ...source, watch: 'player=mse&chase=0', long: true },
  { name: 'MediaRecorder to WebCodecs, sound heard', ...recorder, surface: 'canvas', watch: '' },
  { name: 'MediaRecorder to MediaSource, sound heard', ...recorder, surface: 'video', watch: 'player=mse' },
  {
    name: 'MediaRecorder to MediaSource, muted',
    ...recorder,
    surface: 'video',
    watch: `player=mse&${muted}`,
  },
]

/** @param only what the names match; undefined for all. What they are compared with is always in. */
export function choose(only: RegExp | undefined): readonly Subject[] {
  const wanted = subjects.filter(({ name }) => only === undefined || only.test(name))
  const compared = new Set(wanted.map(referenceOf))
  return subjects.filter(each => wanted.includes(each) || compared.has(each.name))
}

/** Whose lag is followed for a long time. */
export function chooseLong(only: RegExp | undefined): readonly Subject[] {
  return subjects.filter(({ name, view, long }) =>
    only === undefined ? long === true : view !== 'screen' && only.test(name),
  )
}
