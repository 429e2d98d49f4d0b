/** What kind of image bytes are, by their beginning: only what every browser shows, and runs nothing of. */

const latin1 = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, to))

export type ImageType = 'image/jpeg' | 'image/png' | 'image/webp'

export function imageType(bytes: Uint8Array): ImageType | undefined {
  const head = latin1(bytes, 0, 12)
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  return head.startsWith('RIFF') && head.slice(8) === 'WEBP' ? 'image/webp' : undefined
}
