/** Addresses that an installed ffmpeg reads: rtsp://, srt://, udp:// and the rest. */
import { spawn } from 'node:child_process'
import * as v from 'valibot'
import { FramelogError } from '../../errors.ts'
import { quote } from '../../units.ts'

export const ffmpegLimits = {
  /** Milliseconds that a look at what there is may take. */
  probe: 20_000,
  /** Milliseconds without a byte after which what it reads counts as gone: a camera without power closes nothing. */
  silence: 30_000,
  /** Bytes of what ffmpeg says that are kept: the end of it says why. */
  said: 4096,
} as const

const carried: ReadonlySet<string> = new Set(['h264', 'vp8', 'vp9', 'av1', 'aac', 'opus'])

const probed = v.object({
  streams: v.array(v.object({ codec_type: v.optional(v.string()), codec_name: v.optional(v.string()) })),
})

/**
 * What comes from an address, in Matroska, each frame as soon as it is there.
 * @throws FramelogError SOURCE_UNUSABLE, UNSUPPORTED_CODEC
 */
export async function* readByFfmpeg(
  from: string,
  transcode: boolean,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const input = [...(/^rtsps?:/i.test(from) ? ['-rtsp_transport', 'tcp'] : []), '-i', from]
  const { streams } = v.parse(probed, JSON.parse(await probe(input, from, signal)))
  const picture = streams.find(({ codec_type }) => codec_type === 'video')?.codec_name
  const sound = streams.find(({ codec_type }) => codec_type === 'audio')?.codec_name
  if (picture === undefined && sound === undefined)
    throw new FramelogError('SOURCE_UNUSABLE', `${quote(from)} has neither picture nor sound`)
  const args = [
    // Not -fflags nobuffer, which throws away what it has looked at: of a short stream that is all.
    ...['-hide_banner', '-loglevel', 'error', '-nostdin', ...input],
    ...['-map', '0:v:0?', '-map', '0:a:0?'],
    ...videoArgs(picture, transcode),
    ...(sound === undefined || carried.has(sound) ? ['-c:a', 'copy'] : ['-c:a', 'libopus']),
    // A cluster each frame: ffmpeg writes what it has when it closes one.
    ...['-f', 'matroska', '-cluster_time_limit', '1', '-flush_packets', '1', 'pipe:1'],
  ]
  const child = spawn('ffmpeg', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const stop = (): void => void child.kill('SIGKILL')
  signal.addEventListener('abort', stop)
  process.once('exit', stop)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said = (said + text).slice(-ffmpegLimits.said)
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', cause => reject(missing(cause)))
    child.once('close', code => resolve(code))
  })
  ended.catch(() => {})
  let isSilent = false
  try {
    const chunks = (child.stdout as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    for (;;) {
      // Not while somebody is busy with what came.
      const timer = setTimeout(() => {
        isSilent = true
        stop()
      }, ffmpegLimits.silence)
      const { value, done } = await chunks.next().finally(() => clearTimeout(timer))
      if (done) break
      yield value
    }
    const code = await ended
    if (isSilent) throw failed(from, `nothing has come for ${ffmpegLimits.silence / 1000} s`)
    if (code !== 0 && !signal.aborted) throw failed(from, said)
  } finally {
    signal.removeEventListener('abort', stop)
    process.off('exit', stop)
    stop()
  }
}

function videoArgs(codec: string | undefined, transcode: boolean): string[] {
  if (codec === undefined || (carried.has(codec) && !transcode)) return ['-c:v', 'copy']
  if (!transcode)
    throw new FramelogError(
      'UNSUPPORTED_CODEC',
      `The picture is ${codec}, which cannot be carried; --transcode encodes it anew`,
    )
  const latency = ['-preset', 'veryfast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p']
  return ['-c:v', 'libx264', ...latency, '-force_key_frames', 'expr:gte(t,n_forced*2)']
}

/** What streams there are, as JSON. */
async function probe(input: readonly string[], from: string, signal: AbortSignal): Promise<string> {
  const args = ['-v', 'error', '-show_entries', 'stream=codec_type,codec_name', '-of', 'json', ...input]
  const child = spawn('ffprobe', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const stop = (): void => void child.kill('SIGKILL')
  const timer = setTimeout(stop, ffmpegLimits.probe)
  signal.addEventListener('abort', stop)
  let [text, said] = ['', '']
  child.stdout.setEncoding('utf8').on('data', part => {
    text += part
  })
  child.stderr.setEncoding('utf8').on('data', part => {
    said = (said + part).slice(-ffmpegLimits.said)
  })
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', cause => reject(missing(cause)))
      child.once('close', resolve)
    })
    if (code !== 0) throw failed(from, said || `no answer within ${ffmpegLimits.probe / 1000} s`)
    return text
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

const missing = (cause: Error): FramelogError =>
  new FramelogError('SOURCE_UNUSABLE', 'Addresses are read by ffmpeg, which is not found on PATH', { cause })

const failed = (from: string, said: string): FramelogError =>
  new FramelogError(
    'SOURCE_UNUSABLE',
    `${quote(from)} cannot be read: ${said.trim().split('\n').at(-1) ?? ''}`,
  )
