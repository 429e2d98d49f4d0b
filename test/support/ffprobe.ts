/** What ffprobe and ffmpeg say of media: the reference that is none of ours. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fragmentWriters } from '../../src/container/fragments.ts'
import type { AudioTrack, VideoTrack } from '../../src/media/catalog.ts'
import type { Frame } from '../../src/media/frame.ts'
import { micros } from '../../src/units.ts'

export interface ProbedPacket {
  readonly kind: 'video' | 'audio'
  /** Milliseconds. */
  readonly time: number
  readonly keyframe: boolean
  readonly bytes: number
}

const large = { encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 } as const

/** Every packet of a file, in its order. */
export function probePackets(bytes: Uint8Array): ProbedPacket[] {
  return withFile(bytes, file => {
    const fields = 'packet=codec_type,pts_time,flags,size'
    const text = execFileSync('ffprobe', ['-v', 'error', '-show_entries', fields, '-of', 'json', file], large)
    const { packets } = JSON.parse(text) as { packets: Record<string, string>[] }
    return packets.map(({ codec_type, pts_time, flags = '', size }) => ({
      kind: codec_type === 'video' ? 'video' : 'audio',
      time: Math.round(Number(pts_time) * 1000),
      keyframe: flags.startsWith('K'),
      bytes: Number(size),
    }))
  })
}

/** When the picture turned bright, seconds. */
export function flashes(track: VideoTrack, frames: readonly Frame[]): number[] {
  return withFile(toFile(track, frames), file => {
    const text = execFileSync(
      'ffmpeg',
      [
        '-v',
        'fatal',
        '-i',
        file,
        '-vf',
        'signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-',
        '-f',
        'null',
        '-',
      ],
      large,
    )
    const seen = [...text.matchAll(/pts_time:([\d.]+)[\s\S]*?YAVG=([\d.]+)/g)].map(([, time, luma]) => ({
      time: Number(time),
      isBright: Number(luma) > 128,
    }))
    return seen
      .filter(({ isBright }, i) => isBright && seen[i - 1]?.isBright === false)
      .map(({ time }) => time)
  })
}

/** When the sound became loud, seconds. */
export function beeps(track: AudioTrack, frames: readonly Frame[]): number[] {
  const rate = 8000
  const begin = (frames[0]?.timestamp ?? 0) / 1_000_000
  return withFile(toFile(track, frames), file => {
    const pcm = execFileSync(
      'ffmpeg',
      [
        '-v',
        'error',
        '-i',
        file,
        '-af',
        'aresample=async=1:first_pts=0',
        '-ac',
        '1',
        '-ar',
        String(rate),
        '-f',
        's16le',
        '-',
      ],
      { maxBuffer: large.maxBuffer },
    )
    const samples = new Int16Array(pcm.buffer, pcm.byteOffset, pcm.byteLength >> 1)
    const found: number[] = []
    let quietSince = 0
    samples.forEach((sample, i) => {
      if (Math.abs(sample) < 1500) return
      if (i - quietSince > rate / 5) found.push(i / rate)
      quietSince = i
    })
    return begin < 0 ? [] : found
  })
}

/** Frames of one track in a file of their own, at their own times. */
function toFile(track: VideoTrack | AudioTrack, frames: readonly Frame[]): Uint8Array {
  const writer = fragmentWriters(track)[0]?.()
  if (writer === undefined) throw new Error(`No container for ${track.codec}`)
  const fallback = track.kind === 'video' ? 33_333 : 20_000
  return Buffer.concat(
    frames.flatMap(frame => writer.write({ ...frame, duration: frame.duration ?? micros(fallback) })),
  )
}

function withFile<Result>(bytes: Uint8Array, use: (file: string) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'framelog-probe-'))
  try {
    const file = join(folder, 'media')
    writeFileSync(file, bytes)
    return use(file)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
