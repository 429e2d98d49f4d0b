/** MP4 and QuickTime files, whose index lies in one place: read by mediabunny, described as our demuxers describe what they read. */
import {
  type EncodedPacket,
  EncodedPacketSink,
  FilePathSource,
  Input,
  type InputAudioTrack,
  type InputTrack,
  type InputVideoTrack,
  MP4,
  QTFF,
} from 'mediabunny'
import { Announcer, type ContainerTrack } from '../../container/announcer.ts'
import { FramelogError } from '../../errors.ts'
import { micros, quote } from '../../units.ts'
import type { SourceItem } from './source.ts'

const families = { avc: 'h264', vp8: 'vp8', vp9: 'vp9', av1: 'av1' } as const

interface Reading {
  readonly index: number
  readonly packets: AsyncGenerator<EncodedPacket>
  next: EncodedPacket
  /** When the next is due, seconds: what is presented early is decoded late all the same. */
  due: number
}

/** The first track of pictures and the first of sound, in the order in which they are due. @throws FramelogError BAD_CONTAINER, UNSUPPORTED_CODEC */
export async function* readMovie(path: string): AsyncGenerator<SourceItem> {
  using input = new Input({ source: new FilePathSource(path), formats: [MP4, QTFF] })
  const tracks = await tracksOf(input, path)
  let items: SourceItem[] = []
  const announcer = new Announcer({
    onTracks: announced => items.push({ kind: 'tracks', tracks: announced }),
    onFrame: frame => items.push({ kind: 'frame', frame }),
  })
  announcer.tracks(await Promise.all(tracks.map(track => describe(track))))
  const readings: Reading[] = []
  for (const [index, track] of tracks.entries()) {
    const packets = new EncodedPacketSink(track).packets()
    const { value } = await packets.next()
    if (value !== undefined) readings.push({ index, packets, next: value, due: value.timestamp })
  }
  while (readings.length > 0) {
    const first = readings.reduce((least, each) => (each.due < least.due ? each : least))
    const { timestamp, duration, type, data } = first.next
    announcer.sample({
      track: first.index,
      timestamp: micros(timestamp * 1e6),
      ...(duration > 0 ? { duration: micros(duration * 1e6) } : {}),
      keyframe: type === 'key',
      data,
    })
    const came = items
    items = []
    yield* came
    const { value } = await first.packets.next()
    if (value === undefined) readings.splice(readings.indexOf(first), 1)
    else {
      first.next = value
      first.due = Math.max(first.due, value.timestamp)
    }
  }
  announcer.end()
  yield* items
}

async function tracksOf(input: Input, path: string): Promise<InputTrack[]> {
  let found: (InputTrack | null)[]
  try {
    found = [await input.getPrimaryVideoTrack(), await input.getPrimaryAudioTrack()]
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new FramelogError('BAD_CONTAINER', `${quote(path)} cannot be read: ${why}`, { cause })
  }
  const tracks = found.filter(track => track !== null)
  if (tracks.length === 0)
    throw new FramelogError('BAD_CONTAINER', `${quote(path)} has neither picture nor sound`)
  return tracks
}

async function describe(track: InputTrack): Promise<ContainerTrack> {
  const refuse = (): never => {
    throw new FramelogError(
      'UNSUPPORTED_CODEC',
      `The ${track.type} is ${quote(track.codec ?? String(track.internalCodecId))}, which cannot be carried`,
    )
  }
  if (track.isVideoTrack()) return (await pictureOf(track)) ?? refuse()
  if (track.isAudioTrack()) return (await soundOf(track)) ?? refuse()
  return refuse()
}

async function pictureOf(track: InputVideoTrack): Promise<ContainerTrack | undefined> {
  const family = families[track.codec as keyof typeof families] as (typeof families)['avc'] | undefined
  const config = await track.getDecoderConfig()
  if (family === undefined || config === null) return undefined
  const { codedWidth: width, codedHeight: height } = track
  return { kind: 'video', family, width, height, ...described(config), isPresentationOnly: true }
}

async function soundOf(track: InputAudioTrack): Promise<ContainerTrack | undefined> {
  const family = track.codec === 'aac' || track.codec === 'opus' ? track.codec : undefined
  const config = await track.getDecoderConfig()
  if (family === undefined || config === null) return undefined
  const { sampleRate, numberOfChannels: channels } = track
  return { kind: 'audio', family, sampleRate, channels, ...described(config) }
}

function described({ description }: { description?: ArrayBufferView | ArrayBufferLike | undefined }): {
  description?: Uint8Array
} {
  if (description === undefined) return {}
  const bytes = ArrayBuffer.isView(description)
    ? new Uint8Array(description.buffer, description.byteOffset, description.byteLength)
    : new Uint8Array(description)
  return { description: bytes.slice() }
}
