/** Makes a picture small and a JPEG. */
declare const self: {
  onmessage: ((event: MessageEvent<VideoFrame>) => void) | null
  postMessage(answer: ThumbnailAnswer, transfer: Transferable[]): void
}

export type ThumbnailAnswer = ArrayBuffer

/** Pixels of the longer side. */
const side = 256

self.onmessage = ({ data: picture }) => {
  const { displayWidth, displayHeight } = picture
  const scale = Math.min(1, side / Math.max(displayWidth, displayHeight))
  const canvas = new OffscreenCanvas(Math.round(displayWidth * scale), Math.round(displayHeight * scale))
  canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height)
  picture.close()
  canvas
    .convertToBlob({ type: 'image/jpeg', quality: 0.6 })
    .then(blob => blob.arrayBuffer())
    .then(
      bytes => self.postMessage(bytes, [bytes]),
      () => {},
    )
}
