/** ffmpeg as the maker of containers, and ffprobe as their reader. */
import { spawnSync } from 'node:child_process'

function run(program: string, args: readonly string[]): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, { maxBuffer: 1 << 28, timeout: 120_000 })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.toString()}`)
  return stdout
}

/** @param args what is read and how it is encoded and written. @returns the file, as ffmpeg writes it to a pipe */
export const ffmpeg = (...args: readonly string[]): Uint8Array =>
  new Uint8Array(run('ffmpeg', ['-v', 'error', '-nostdin', ...args, 'pipe:1']))

export interface ProbedStream {
  readonly index: number
  readonly codec_type: 'video' | 'audio'
  readonly codec_name: string
  readonly profile?: string
  readonly level?: number
  readonly width?: number
  readonly height?: number
  readonly sample_rate?: string
  readonly channels?: number
}

export interface ProbedPacket {
  readonly stream_index: number
  readonly pts_time: string
  readonly dts_time?: string
  readonly duration_time?: string
  readonly size: string
  readonly flags: string
  /** SHA-256 of its bytes. */
  readonly data_hash: string
}

export interface Probed {
  readonly streams: readonly ProbedStream[]
  readonly packets: readonly ProbedPacket[]
}

/** @param path of a file */
export const ffprobe = (path: string): Probed =>
  JSON.parse(
    run('ffprobe', [
      ...['-v', 'error', '-of', 'json', '-show_streams', '-show_packets', '-show_data_hash', 'sha256'],
      path,
    ]).toString(),
  ) as Probed
