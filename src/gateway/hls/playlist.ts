/** Playlists (RFC 8216bis): lines of text, made from segments. */
import type { Segment } from '../../relay/segments.ts'

export const playlistLimits = {
  /** Seconds that a part has at most: frames do not end where half a second does. */
  part: 0.6,
  /** Newest segments whose parts are named. */
  withParts: 3,
} as const

export interface Named {
  /** Of a run of frames. */
  range(first: number, end: number): string
  /** Of what a decoder needs to be told before a segment. */
  init(segment: Segment): string
  /** What tells whether that is the same for two segments. */
  initKey(segment: Segment): string
}

const seconds = (micros: number): string => (micros / 1e6).toFixed(5)

/** What is on now. @param isOver no segment follows */
export function livePlaylist(segments: readonly Segment[], isOver: boolean, named: Named): string {
  const [first] = segments
  const longest = Math.max(4, ...segments.map(({ duration }) => Math.ceil(duration / 1e6)))
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:9',
    `#EXT-X-TARGETDURATION:${longest}`,
    `#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=${(playlistLimits.part * 3).toFixed(1)},HOLD-BACK=${longest * 3}`,
    `#EXT-X-PART-INF:PART-TARGET=${playlistLimits.part}`,
    `#EXT-X-MEDIA-SEQUENCE:${first?.slot ?? 0}`,
    '#EXT-X-INDEPENDENT-SEGMENTS',
  ]
  let before: Segment | undefined
  for (const [i, segment] of segments.entries()) {
    // Slots in which no GOP began: nothing to be shown.
    for (let slot = (before?.slot ?? segment.slot - 1) + 1; slot < segment.slot; slot++)
      lines.push('#EXT-X-GAP', '#EXTINF:0.001,', 'gap.m4s')
    lines.push(...beginning(segment, before, named))
    if (segments.length - i <= playlistLimits.withParts)
      for (const { first, end, duration, isKey } of segment.parts)
        lines.push(
          `#EXT-X-PART:DURATION=${seconds(duration)},URI="${named.range(first, end)}"${isKey ? ',INDEPENDENT=YES' : ''}`,
        )
    if (segment.end !== undefined)
      lines.push(`#EXTINF:${seconds(segment.duration)},`, named.range(segment.first, segment.end))
    before = segment
  }
  if (isOver) lines.push('#EXT-X-ENDLIST')
  return `${lines.join('\n')}\n`
}

/** A recording, or a span of it. */
export function recordedPlaylist(segments: readonly Segment[], named: Named): string {
  const longest = Math.max(1, ...segments.map(({ duration }) => Math.ceil(duration / 1e6)))
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    '#EXT-X-PLAYLIST-TYPE:VOD',
    `#EXT-X-TARGETDURATION:${longest}`,
    '#EXT-X-MEDIA-SEQUENCE:0',
    '#EXT-X-INDEPENDENT-SEGMENTS',
  ]
  let before: Segment | undefined
  for (const segment of segments) {
    lines.push(...beginning(segment, before, named))
    lines.push(
      `#EXTINF:${seconds(segment.duration)},`,
      named.range(segment.first, segment.end ?? segment.first),
    )
    before = segment
  }
  lines.push('#EXT-X-ENDLIST')
  return `${lines.join('\n')}\n`
}

/** What stands before a segment: that its clock or its tracks are others, and when it was. */
function beginning(segment: Segment, before: Segment | undefined, named: Named): string[] {
  const isOther = before !== undefined && before.session !== segment.session
  const isNew = before === undefined || isOther || named.initKey(before) !== named.initKey(segment)
  return [
    ...(isOther || (isNew && before !== undefined) ? ['#EXT-X-DISCONTINUITY'] : []),
    ...(isNew ? [`#EXT-X-MAP:URI="${named.init(segment)}"`] : []),
    `#EXT-X-PROGRAM-DATE-TIME:${new Date(segment.time).toISOString()}`,
  ]
}

export interface MasterTracks {
  readonly codecs: readonly string[]
  readonly size: string | undefined
  /** Bits per second. */
  readonly bitrate: number
}

export const masterPlaylist = ({ codecs, size, bitrate }: MasterTracks, uri: string): string =>
  [
    '#EXTM3U',
    '#EXT-X-VERSION:9',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    `#EXT-X-STREAM-INF:BANDWIDTH=${Math.max(1, Math.round(bitrate))},CODECS="${codecs.join(',')}"${size === undefined ? '' : `,RESOLUTION=${size}`}`,
    uri,
    '',
  ].join('\n')
