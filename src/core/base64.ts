/** Base64 (RFC 4648 section 4), as the catalog carries a decoder's description. */
interface Coding {
  btoa(text: string): string
  atob(text: string): string
}
const { btoa, atob } = globalThis as unknown as Coding

export function encodeBase64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

/** @param text whose alphabet was checked. @returns owned bytes */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const decoded = atob(text)
  const bytes = new Uint8Array(decoded.length)
  for (let i = 0; i < decoded.length; i++) bytes[i] = decoded.charCodeAt(i)
  return bytes
}
