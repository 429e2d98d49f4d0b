/** The containers that a broadcast is written into, and which codecs each of them holds. */
import { FramelogError } from '../../errors.ts'
import type { CodecFamily } from '../../media/codec.ts'
import { quote } from '../../units.ts'

const held = {
  /** https://www.webmproject.org/docs/container: VP8, VP9 and AV1, Opus. */
  webm: ['vp8', 'vp9', 'av1', 'opus'],
  mp4: ['vp8', 'vp9', 'av1', 'h264', 'opus', 'aac'],
  mkv: ['vp8', 'vp9', 'av1', 'h264', 'opus', 'aac'],
} as const satisfies Record<string, readonly CodecFamily[]>

export type Container = keyof typeof held

const names = Object.keys(held) as Container[]

/** What names the standard output in place of a file. */
export const standardOutput = '-'

/**
 * @param output a file's path, or `-`, for which Matroska is written where nothing else is asked for
 * @param format what was asked for, in place of the file's extension
 * @throws FramelogError OUTPUT_FORMAT
 */
export function containerOf(output: string, format: string | undefined): Container {
  const wanted = format ?? (output === standardOutput ? 'mkv' : extensionOf(output))
  const found = names.find(name => name === wanted?.toLowerCase())
  if (found !== undefined) return found
  const what =
    format !== undefined
      ? `${quote(format)} is no format that can be written`
      : `${quote(output)} has ${wanted === undefined ? 'no extension' : `the extension .${wanted}`}, which names no format that can be written`
  throw new FramelogError('OUTPUT_FORMAT', what)
}

export const holds = (container: Container, family: CodecFamily): boolean =>
  (held[container] as readonly CodecFamily[]).includes(family)

function extensionOf(path: string): string | undefined {
  return /[^/\\]\.([^./\\]{1,16})$/.exec(path)?.[1]
}
