/** The canvas: draws pictures and remembers what it has drawn. */
import { type Micros, micros } from '../../units.ts'

export class PictureCanvas {
  readonly element: HTMLCanvasElement
  readonly #context: CanvasRenderingContext2D | null
  /** When the last pictures were painted, for the rate. */
  #times: number[] = []
  #painted = 0
  #firstAt: number | undefined
  #first: Micros | undefined
  #shown: Micros | undefined

  /** @param label what a screen reader says of it */
  constructor(label: string) {
    this.element = document.createElement('canvas')
    this.element.width = 640
    this.element.height = 360
    this.element.dataset.player = ''
    this.element.role = 'img'
    this.element.ariaLabel = label
    this.#context = this.element.getContext('2d', { alpha: false, desynchronized: true })
  }

  get painted(): number {
    return this.#painted
  }

  /** When the first picture was painted, on the clock of `performance.now()`. */
  get firstAt(): number | undefined {
    return this.#firstAt
  }

  get first(): Micros | undefined {
    return this.#first
  }

  /** Media time of the picture on the page. */
  get shown(): Micros | undefined {
    return this.#shown
  }

  get paintedAt(): number | undefined {
    return this.#times.at(-1)
  }

  /** Pictures painted in the second before. */
  rate(now: number): number {
    this.#times = this.#times.filter(at => now - at < 1000)
    return this.#times.length
  }

  /** What is on the page is of somewhere else than what comes. */
  forget(): void {
    this.#shown = undefined
  }

  /** @param picture owned by the caller */
  paint(picture: VideoFrame, now: number): void {
    const { displayWidth, displayHeight } = picture
    if (this.element.width !== displayWidth || this.element.height !== displayHeight) {
      this.element.width = displayWidth
      this.element.height = displayHeight
    }
    this.#context?.drawImage(picture, 0, 0, displayWidth, displayHeight)
    this.#painted += 1
    this.#firstAt ??= now
    this.#shown = micros(picture.timestamp)
    this.#first ??= this.#shown
    this.#times.push(now)
    if (this.#times.length > 240) this.#times = this.#times.slice(-120)
  }
}
