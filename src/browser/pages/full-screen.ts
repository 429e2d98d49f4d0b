/** Full screen: of the whole stage, or, on iPhones, of a video element alone, which the system then shows with its own controls. */
import { text } from '../text.ts'
import { button, setText } from './dom.ts'

const words = text.watch

/** Safari's own; its iPhones have no other. */
interface PhoneVideo extends HTMLVideoElement {
  readonly webkitSupportsFullscreen?: boolean
  webkitEnterFullscreen?(): void
}

export class FullScreen {
  readonly button: HTMLButtonElement
  readonly #stage: HTMLElement
  readonly #canFill = document.fullscreenEnabled === true

  /** @param onLeft the system's own full screen was left, whose controls may have stopped the element */
  constructor(stage: HTMLElement, onLeft: () => void) {
    this.#stage = stage
    this.button = button(words.fullScreen, 'plain', () => this.toggle())
    document.addEventListener('fullscreenchange', () => {
      setText(this.button, document.fullscreenElement === null ? words.fullScreen : words.leaveFullScreen)
    })
    stage.addEventListener('webkitendfullscreen', onLeft, { capture: true })
    stage.addEventListener('dblclick', ({ target }) => {
      if (target instanceof Element && target.closest('button') === null) this.toggle()
    })
    this.refresh()
  }

  /** To be called now and then: whether it can be had depends on what shows the picture. */
  refresh(): void {
    this.button.hidden = !this.#canFill && this.#video === undefined
  }

  toggle(): void {
    if (!this.#canFill) this.#video?.webkitEnterFullscreen?.()
    else if (document.fullscreenElement === null) this.#stage.requestFullscreen().catch(() => {})
    else document.exitFullscreen().catch(() => {})
  }

  get #video(): PhoneVideo | undefined {
    const video = this.#stage.querySelector<PhoneVideo>('video[data-player]')
    return video?.webkitSupportsFullscreen === true ? video : undefined
  }
}
