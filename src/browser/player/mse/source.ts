/** MediaSource, or what iPhones have in its place. */

/** Media Source Extensions 2, section 5: a MediaSource that tells when it wants data, and may throw some away. */
declare global {
  var ManagedMediaSource: typeof MediaSource | undefined
}

/** @returns undefined where the browser has neither */
export function mediaSourceClass(): typeof MediaSource | undefined {
  if ('MediaSource' in globalThis) return MediaSource
  return globalThis.ManagedMediaSource
}

/** Attaches a new source to a video element. @returns what detaches it; idempotent */
export function attach(video: HTMLVideoElement, source: MediaSource): () => void {
  // A managed source opens only where the picture cannot be sent to another screen, which could not read it.
  video.disableRemotePlayback = true
  const url = URL.createObjectURL(source)
  video.src = url
  let attached = true
  return () => {
    if (!attached) return
    attached = false
    URL.revokeObjectURL(url)
    video.removeAttribute('src')
    video.load()
  }
}
