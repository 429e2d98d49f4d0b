/** The video element: plays, is heard as far as the browser lets it, and tells of each picture that it shows. */
import type { SoundWish } from '../player.ts'
import type { PresentationFigures } from '../presentation.ts'

/** Milliseconds between two refreshes of a screen: so often at most is a picture seen. */
const refresh = 1000 / 60

export interface VideoSurfaceHandler {
  /** @param time of the element, seconds. @param shownAt on the clock of `performance.now()`, milliseconds */
  onPainted(time: number, shownAt: number): void
  onSound(): void
}

export class VideoSurface {
  readonly element: HTMLVideoElement
  readonly #handler: VideoSurfaceHandler
  #wish: SoundWish
  #blocked = false
  #painted = 0
  #presented = 0
  #presentedAt = 0
  #firstAt: number | undefined
  #times: number[] = []
  /** Sound behind its picture, negative ahead; a slow mean. */
  #skew: number | undefined
  #stopped = false
  #isHeld = false

  /** @param label what a screen reader says of it */
  constructor(label: string, wish: SoundWish, handler: VideoSurfaceHandler) {
    this.#handler = handler
    this.#wish = wish
    const element = document.createElement('video')
    element.dataset.player = ''
    element.playsInline = true
    element.preload = 'auto'
    element.ariaLabel = label
    element.muted = wish !== 'heard'
    element.preservesPitch = true
    this.element = element
    this.#watch()
  }

  /** When the first picture was shown, on the clock of `performance.now()`. */
  get firstAt(): number | undefined {
    return this.#firstAt
  }

  /** Whether the browser waits for a gesture before it lets sound out. */
  get isBlocked(): boolean {
    return this.#blocked
  }

  /** Sound ahead of picture, milliseconds. */
  get skewMs(): number {
    return this.#skew ?? 0
  }

  get isPlaying(): boolean {
    return !this.element.paused && this.element.readyState > 2
  }

  figures(
    now: number,
  ): Pick<PresentationFigures, 'painted' | 'decoded' | 'late' | 'fps' | 'firstPaintAt' | 'size'> {
    const { element } = this
    const { totalVideoFrames = 0, droppedVideoFrames = 0 } = element.getVideoPlaybackQuality?.() ?? {}
    this.#times = this.#times.filter(at => now - at < 1000)
    return {
      painted: this.#painted,
      decoded: totalVideoFrames,
      late: droppedVideoFrames,
      fps: this.#times.length,
      ...(this.#firstAt === undefined ? {} : { firstPaintAt: this.#firstAt }),
      ...(element.videoWidth > 0 ? { size: { width: element.videoWidth, height: element.videoHeight } } : {}),
    }
  }

  setSound(wish: SoundWish): void {
    this.#wish = wish
    this.#blocked = false
    this.element.muted = wish !== 'heard'
    this.play()
  }

  /** The picture stands still, whatever is there to be played. */
  setHeld(isHeld: boolean): void {
    if (isHeld === this.#isHeld) return
    this.#isHeld = isHeld
    if (isHeld) this.element.pause()
    else this.play()
  }

  /** Also of what the element loads next. */
  setRate(rate: number): void {
    this.element.defaultPlaybackRate = rate
    this.element.playbackRate = rate
  }

  /** Without sound where the browser wants a gesture for it: the picture waits for nobody. */
  play(): void {
    // An element that has ended would begin anew.
    if (this.#stopped || this.#isHeld || this.element.ended) return
    this.element.play().catch((error: unknown) => {
      const isRefused = error instanceof DOMException && error.name === 'NotAllowedError'
      if (!isRefused || this.element.muted || this.#stopped) return
      this.#blocked = this.#wish === 'heard'
      this.element.muted = true
      this.#handler.onSound()
      this.play()
    })
  }

  stop(): void {
    this.#stopped = true
    this.element.pause()
  }

  #watch(): void {
    const { element } = this
    if (!('requestVideoFrameCallback' in element)) {
      this.#poll()
      return
    }
    const next = (now: number, metadata: VideoFrameCallbackMetadata): void => {
      if (this.#stopped) return
      element.requestVideoFrameCallback(next)
      // Several pictures may have been shown since the page was last given a turn; a new source counts from zero.
      // Firefox counts those too that a seek passes over, without a refresh between them.
      const { presentedFrames, expectedDisplayTime, mediaTime } = metadata
      const refreshes = Math.max(1, Math.round((now - this.#presentedAt) / refresh))
      const shown = Math.max(1, Math.min(presentedFrames - this.#presented, refreshes))
      this.#presented = presentedFrames
      this.#presentedAt = now
      const clock = element.currentTime + ((expectedDisplayTime - now) / 1000) * element.playbackRate
      if (!element.seeking && !element.paused) this.#follow((clock - mediaTime) * 1000)
      this.#show(shown, mediaTime, expectedDisplayTime)
    }
    element.requestVideoFrameCallback(next)
  }

  /** Browsers without a callback tell only how many pictures there have been. */
  #poll(): void {
    let before = 0
    const look = (now: number): void => {
      if (this.#stopped) return
      requestAnimationFrame(look)
      const total = this.element.getVideoPlaybackQuality().totalVideoFrames
      if (total > before) this.#show(total - before, this.element.currentTime, now)
      before = total
    }
    requestAnimationFrame(look)
  }

  #show(pictures: number, time: number, shownAt: number): void {
    this.#painted += pictures
    this.#firstAt ??= shownAt
    for (let i = 0; i < Math.min(pictures, 120); i++) this.#times.push(shownAt)
    if (this.#times.length > 240) this.#times = this.#times.slice(-120)
    this.#handler.onPainted(time, shownAt)
  }

  #follow(skew: number): void {
    if (Math.abs(skew) > 2000) return
    this.#skew = this.#skew === undefined ? skew : this.#skew + (skew - this.#skew) * 0.05
  }
}
