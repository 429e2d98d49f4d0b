/** What a track's processor gives, one after the other. Firefox has no such thing. */

/**
 * Ends with the track, or when it is stopped; nobody restarts it: another device is another publisher.
 * @param take owns what it is given: it closes it
 * @returns stops it; idempotent
 */
export function readProcessor<Media extends VideoFrame | AudioData>(
  { readable }: { readonly readable: ReadableStream<Media> },
  take: (media: Media) => void,
): () => void {
  const reader = readable.getReader()
  let stopped = false
  const read = async (): Promise<void> => {
    while (!stopped) {
      const { done, value } = await reader.read()
      if (done) return
      if (stopped) value.close()
      else take(value)
    }
  }
  read().catch(() => {})
  return () => {
    stopped = true
    reader.cancel().catch(() => {})
  }
}
