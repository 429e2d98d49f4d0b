/**
 * Codec strings, as WebCodecs and `MediaSource.isTypeSupported` take them.
 * Grammar: WebCodecs Codec Registry; RFC 6381 and ISO/IEC 14496-15 (avc1); VP Codec ISO Media File Format
 * Binding 1.0 (vp09); AV1 Codec ISO Media File Format Binding 1.2, section 5 (av01).
 */

export type Codec =
  | { readonly family: 'vp8' }
  | {
      readonly family: 'vp9'
      readonly profile: number
      /** Ten times the level: 31 is level 3.1. */
      readonly level: number
      readonly bitDepth: number
      /** The optional fields as they stood, from chroma subsampling on, without the leading dot. */
      readonly rest?: string
    }
  | {
      readonly family: 'av1'
      readonly profile: number
      /** seq_level_idx: 0 is level 2.0, 4 is 3.0, 8 is 4.0. */
      readonly level: number
      readonly tier: 'M' | 'H'
      readonly bitDepth: number
      readonly rest?: string
    }
  | {
      readonly family: 'h264'
      /** avc1: parameter sets in the decoder's description; avc3: in the stream. */
      readonly sample: 'avc1' | 'avc3'
      readonly profile: number
      readonly constraints: number
      /** Ten times the level: 30 is level 3.0. */
      readonly level: number
    }
  | { readonly family: 'opus' }
  | {
      readonly family: 'aac'
      /** MPEG-4 audio object type: 2 is AAC-LC, 5 HE-AAC, 29 HE-AAC v2. */
      readonly objectType: number
    }
  | { readonly family: 'unknown'; readonly text: string }

export type CodecFamily = Codec['family']

const vp9Pattern = /^vp09\.(\d{2})\.(\d{2})\.(\d{2})(?:\.(\d{2}(?:\.\d{2}){0,4}))?$/
const av1Pattern = /^av01\.(\d)\.(\d{2})([MH])\.(\d{2})(?:\.(\d\.\d{3}(?:\.\d{2}){0,3}(?:\.\d)?))?$/
const h264Pattern = /^(avc[13])\.([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})$/
const aacPattern = /^mp4a\.40\.(\d{1,2})$/

/** Never throws: what it does not know comes back as `unknown` with its text. */
export function parseCodec(text: string): Codec {
  if (text === 'vp8' || text === 'vp08') return { family: 'vp8' }
  if (text === 'opus') return { family: 'opus' }
  if (text === 'vp9') return { family: 'vp9', profile: 0, level: 10, bitDepth: 8 }
  const vp9 = vp9Pattern.exec(text)
  if (vp9) {
    const codec = {
      family: 'vp9',
      profile: Number(vp9[1]),
      level: Number(vp9[2]),
      bitDepth: Number(vp9[3]),
    } as const
    return vp9[4] === undefined ? codec : { ...codec, rest: vp9[4] }
  }
  const av1 = av1Pattern.exec(text)
  if (av1) {
    const tier = av1[3] === 'H' ? 'H' : 'M'
    const codec = {
      family: 'av1',
      profile: Number(av1[1]),
      level: Number(av1[2]),
      tier,
      bitDepth: Number(av1[4]),
    } as const
    return av1[5] === undefined ? codec : { ...codec, rest: av1[5] }
  }
  const h264 = h264Pattern.exec(text)
  if (h264) {
    return {
      family: 'h264',
      sample: h264[1] === 'avc3' ? 'avc3' : 'avc1',
      profile: Number.parseInt(h264[2] ?? '', 16),
      constraints: Number.parseInt(h264[3] ?? '', 16),
      level: Number.parseInt(h264[4] ?? '', 16),
    }
  }
  const aac = aacPattern.exec(text)
  if (aac) return { family: 'aac', objectType: Number(aac[1]) }
  return { family: 'unknown', text }
}

const two = (n: number): string => String(n).padStart(2, '0')
const hex = (n: number): string => n.toString(16).padStart(2, '0')

/** The inverse of `parseCodec`, in the form that browsers accept everywhere. */
export function formatCodec(codec: Codec): string {
  switch (codec.family) {
    case 'vp8':
      return 'vp8'
    case 'opus':
      return 'opus'
    case 'vp9':
      return withRest(`vp09.${two(codec.profile)}.${two(codec.level)}.${two(codec.bitDepth)}`, codec.rest)
    case 'av1':
      return withRest(
        `av01.${codec.profile}.${two(codec.level)}${codec.tier}.${two(codec.bitDepth)}`,
        codec.rest,
      )
    case 'h264':
      return `${codec.sample}.${hex(codec.profile)}${hex(codec.constraints)}${hex(codec.level)}`
    case 'aac':
      return `mp4a.40.${codec.objectType}`
    case 'unknown':
      return codec.text
    default:
      return codec satisfies never
  }
}

const withRest = (head: string, rest: string | undefined): string =>
  rest === undefined ? head : `${head}.${rest}`

/**
 * The codec string of an H.264 decoder description.
 * @param avcC AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1): version, profile, compatibility, level
 * @returns undefined where the bytes are no such record
 */
export function codecOfAvcC(avcC: Uint8Array): string | undefined {
  const [version, profile, constraints, level] = avcC
  if (version !== 1 || profile === undefined || constraints === undefined || level === undefined)
    return undefined
  return formatCodec({ family: 'h264', sample: 'avc1', profile, constraints, level })
}

const kinds = {
  vp8: 'video',
  vp9: 'video',
  av1: 'video',
  h264: 'video',
  opus: 'audio',
  aac: 'audio',
  unknown: 'unknown',
} as const satisfies Record<CodecFamily, 'video' | 'audio' | 'unknown'>

export const kindOfCodec = (text: string): 'video' | 'audio' | 'unknown' => kinds[parseCodec(text).family]
