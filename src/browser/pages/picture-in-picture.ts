/**
 * The picture in a small window above all others. A video element has that of its own. A canvas is moved into a window that
 * Chromium opens for it: no copy of the picture is made, so the lag stays, and that window is refreshed where the tab is hidden.
 */
import { text } from '../text.ts'
import { button, setText } from './dom.ts'

const words = text.watch

declare global {
  /** Chromium's; the DOM's types lack it. */
  var documentPictureInPicture:
    | { requestWindow(size: { width: number; height: number }): Promise<Window> }
    | undefined
}

/** Pixels of the window that a canvas gets. */
const width = 480

export class PictureInPicture {
  readonly button: HTMLButtonElement
  readonly #stage: HTMLElement
  readonly #onChange: () => void
  /** That the picture was moved into; or is about to be, until the browser has opened it. */
  #window: Window | 'opening' | undefined

  /** @param onChange it was opened or left */
  constructor(stage: HTMLElement, onChange: () => void) {
    this.#stage = stage
    this.#onChange = onChange
    this.button = button(words.pictureInPicture, 'plain', () => this.toggle())
    for (const name of ['enterpictureinpicture', 'leavepictureinpicture'])
      stage.addEventListener(name, () => this.#changed(), { capture: true })
    this.refresh()
  }

  get isOpen(): boolean {
    return document.pictureInPictureElement != null || this.isAway
  }

  /** Whether nothing is left on the page; of a video element's, the browser itself says there where it is. */
  get isAway(): boolean {
    return typeof this.#window === 'object'
  }

  /** To be called now and then: whether it can be had depends on what shows the picture, and on a picture being there. */
  refresh(hasPicture = false): void {
    this.button.hidden = !this.isOpen && (!hasPicture || !this.#isPossible)
    // What shows the picture may have been replaced meanwhile, and the new one is on the page.
    if (typeof this.#window === 'object' && this.#window.document.querySelector('[data-player]') === null)
      this.#window.close()
  }

  toggle(): void {
    const picture = this.#picture
    if (document.pictureInPictureElement != null) document.exitPictureInPicture().catch(() => {})
    else if (typeof this.#window === 'object') this.#window.close()
    else if (picture instanceof HTMLVideoElement) picture.requestPictureInPicture().catch(() => {})
    else if (picture instanceof HTMLCanvasElement && this.#window === undefined)
      this.#open(picture).catch(() => {
        this.#window = undefined
      })
  }

  get #picture(): Element | null {
    return this.#stage.querySelector('[data-player]')
  }

  get #isPossible(): boolean {
    return this.#picture instanceof HTMLVideoElement
      ? document.pictureInPictureEnabled === true
      : globalThis.documentPictureInPicture !== undefined
  }

  async #open(canvas: HTMLCanvasElement): Promise<void> {
    this.#window = 'opening'
    const height = Math.round((width * canvas.height) / canvas.width)
    const opened = await globalThis.documentPictureInPicture?.requestWindow({ width, height })
    this.#window = opened
    if (opened === undefined) return
    const { body } = opened.document
    opened.document.title = document.title
    body.style.cssText = 'margin: 0; background: #0b0d0d'
    canvas.style.cssText = 'display: block; width: 100vw; height: 100vh; object-fit: contain'
    body.append(canvas)
    // However it is closed.
    opened.addEventListener('pagehide', () => {
      canvas.style.cssText = ''
      if (canvas.isConnected) this.#stage.prepend(canvas)
      this.#window = undefined
      this.#changed()
    })
    this.#changed()
  }

  #changed(): void {
    setText(this.button, this.isOpen ? words.leavePictureInPicture : words.pictureInPicture)
    this.#onChange()
  }
}
