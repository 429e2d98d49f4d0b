/** What virtual publishers send: the frames of a file, as its encoder gave them, over and over. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { AnyDemuxer } from '../../container/recognise.ts'
import { FramelogError } from '../../errors.ts'
import type { Catalog } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import { type Micros, micros, quote } from '../../units.ts'
import { root } from '../version.ts'

/** Two seconds of a test picture and a tone: H.264, 640x360, 30 pictures/s, 1.5 Mbit/s, one keyframe; Opus. */
export const ownClip = join(root, 'assets', 'load.mp4')

export const clipLimits = { bytes: 256 * 1024 * 1024, frames: 200_000 } as const

export interface Clip {
  readonly catalog: Catalog
  /** In the order in which they are sent; the first is a keyframe of a picture, or the file has no pictures. */
  readonly frames: readonly Frame[]
  /** When each is due, from the clip's beginning, microseconds. */
  readonly due: readonly Micros[]
  /** After which it begins anew, microseconds. */
  readonly span: Micros
  readonly bytes: number
}

/** @throws FramelogError BAD_OPTION, BAD_CONTAINER, UNSUPPORTED_CODEC */
export function readClip(path: string): Clip {
  const frames: Frame[] = []
  let catalog: Catalog | undefined
  const demuxer = new AnyDemuxer({
    onTracks: tracks => {
      // What comes after a change would need a catalog of its own at every turn.
      catalog ??= { version: 1, tracks }
    },
    onFrame: frame => {
      if (frames.length >= clipLimits.frames)
        throw new FramelogError('BAD_OPTION', `${quote(path)} has over ${clipLimits.frames} frames`)
      frames.push(frame)
    },
  })
  demuxer.push(readAll(path))
  demuxer.end()
  if (catalog === undefined) throw new FramelogError('BAD_CONTAINER', `${quote(path)} has no frames`)
  return clipOf(catalog, frames, path)
}

function readAll(path: string): Uint8Array {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (cause) {
    throw new FramelogError('BAD_OPTION', `${quote(path)} cannot be read`, { cause })
  }
  try {
    const { size } = fstatSync(file)
    if (size > clipLimits.bytes)
      throw new FramelogError('BAD_OPTION', `${quote(path)} has over ${clipLimits.bytes} bytes`)
    const bytes = new Uint8Array(size)
    let length = 0
    for (let read = -1; read !== 0 && length < size; length += read)
      read = readSync(file, bytes, length, size - length, null)
    return bytes.subarray(0, length)
  } finally {
    closeSync(file)
  }
}

/** @param found in the container's order */
function clipOf(catalog: Catalog, found: readonly Frame[], path: string): Clip {
  const pictures = new Set(catalog.tracks.flatMap(({ name, kind }) => (kind === 'video' ? [name] : [])))
  const sentAt = ({ decodeTimestamp, timestamp }: Frame): number => decodeTimestamp ?? timestamp
  const key = found.find(({ track, keyframe }) => keyframe && (pictures.size === 0 || pictures.has(track)))
  if (key === undefined) throw new FramelogError('BAD_CONTAINER', `${quote(path)} has no keyframe`)
  const begin = sentAt(key)
  // Stable: frames of one moment stay in the container's order.
  const used = found.filter(frame => sentAt(frame) >= begin).sort((a, b) => sentAt(a) - sentAt(b))
  const frames = used.map(frame => ({
    ...frame,
    timestamp: micros(frame.timestamp - begin),
    ...(frame.decodeTimestamp === undefined
      ? {}
      : { decodeTimestamp: micros(frame.decodeTimestamp - begin) }),
  }))
  const ends = [...new Set(frames.map(({ track }) => track))].map(track => {
    const own = frames.filter(each => each.track === track)
    const times = own.map(({ timestamp }) => timestamp)
    const [least, most] = [Math.min(...times.slice(0, 64)), Math.max(...times.slice(-64))]
    return most + (own.at(-1)?.duration || (most - least) / Math.max(1, own.length - 1))
  })
  const span = micros(Math.max(...ends))
  if (span < 100_000) throw new FramelogError('BAD_OPTION', `${quote(path)} is shorter than 0.1 s`)
  return {
    catalog,
    frames,
    due: frames.map(frame => micros(sentAt(frame))),
    span,
    bytes: frames.reduce((sum, { data }) => sum + data.byteLength, 0),
  }
}
