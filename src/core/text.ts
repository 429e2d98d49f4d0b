/** UTF-8 in every runtime. The two classes are in all browsers and in Node, but in no ECMAScript lib. */
interface TextCoding {
  readonly TextDecoder: new (
    label: string,
    options: { fatal: boolean },
  ) => { decode(bytes: Uint8Array): string }
  readonly TextEncoder: new () => { encode(text: string): Uint8Array }
}
const { TextDecoder, TextEncoder } = globalThis as unknown as TextCoding
const decoder = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()

/** @throws TypeError where the bytes are not UTF-8 */
export const decodeText = (bytes: Uint8Array): string => decoder.decode(bytes)
/** Owned bytes. */
export const encodeText = (text: string): Uint8Array => encoder.encode(text)
