/** AAC as files hold it: bare, with its configuration apart (ISO/IEC 14496-3). In ADTS, each frame carries its own. */

/** Sampling frequencies in the order of their index (ISO/IEC 14496-3, table 1.18). */
const rates = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350]

const lowComplexity = 2

/** @returns an AudioSpecificConfig of AAC-LC (ISO/IEC 14496-3, 1.6.2.1), or undefined where the rate is none of AAC's */
export function audioSpecificConfig(sampleRate: number, channels: number): Uint8Array | undefined {
  const index = rates.indexOf(sampleRate)
  if (index < 0) return undefined
  const configuration = channels === 8 ? 7 : channels
  return Uint8Array.of((lowComplexity << 3) | (index >> 1), ((index & 1) << 7) | (configuration << 3))
}

/** @returns a view of the frame without its ADTS header (ISO/IEC 14496-3, 1.A.2.2), where it has one */
export function withoutAdts(frame: Uint8Array): Uint8Array {
  const [first = 0, second = 0] = frame
  if (first !== 0xff || (second & 0xf6) !== 0xf0) return frame
  const header = (second & 1) === 1 ? 7 : 9
  return frame.byteLength > header ? frame.subarray(header) : frame
}
