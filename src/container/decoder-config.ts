/** What a container's header says for a decoder, beyond the catalog: made from the catalog, or from a keyframe. */
import { decodeBase64 } from '../core/base64.ts'
import { FramelogError } from '../errors.ts'
import { sequenceOfAv1 } from '../media/av1.ts'
import type { AudioTrack, VideoTrack } from '../media/catalog.ts'
import { parseCodec } from '../media/codec.ts'
import { formatOfAnnexB } from '../media/h264.ts'
import { opusHead } from '../media/opus.ts'

/** Bytes that go with a track: `avcC`, `av1C`, OpusHead or AudioSpecificConfig; undefined where its codec needs none. */
export type DecoderConfig = Uint8Array | undefined

/**
 * @param keyframe borrowed until return
 * @throws FramelogError BAD_CONTAINER where neither the catalog nor the keyframe has it
 */
export function decoderConfigOf(track: VideoTrack | AudioTrack, keyframe: Uint8Array): DecoderConfig {
  const described = track.description === undefined ? undefined : decodeBase64(track.description)
  switch (parseCodec(track.codec).family) {
    case 'h264':
      return described ?? formatOfAnnexB(keyframe)?.avcC ?? missing(track, 'parameter sets')
    case 'av1':
      return sequenceOfAv1(keyframe)?.av1C ?? described ?? missing(track, 'a sequence header')
    case 'opus':
      return described ?? opusHead(track.kind === 'audio' ? track.channels : 1)
    case 'aac':
      return described ?? missing(track, 'an AudioSpecificConfig')
    default:
      return undefined
  }
}

/** Whether its frames are Annex B, and have to be turned into lengths. */
export const isAnnexBTrack = (track: VideoTrack | AudioTrack): boolean =>
  track.kind === 'video' && parseCodec(track.codec).family === 'h264' && track.description === undefined

export const sameBytes = (a: DecoderConfig, b: DecoderConfig): boolean =>
  a === b ||
  (a !== undefined && b !== undefined && a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]))

function missing(track: VideoTrack | AudioTrack, what: string): never {
  throw new FramelogError('BAD_CONTAINER', `A keyframe of ${track.name} comes without ${what}`)
}
