/** Looks at a surface at every refresh, after everybody else has drawn, and reads the clock in the picture. */
import type { Look, Looks } from '../face.ts'
import { readClock, strip } from '../strip.ts'

/** Pixels a block in the small canvas that the strip is drawn into; the middle ones are read. */
const cell = 4
const width = strip.columns * cell
const height = strip.rows * cell

export class Probe {
  readonly #selector: string
  readonly #context: CanvasRenderingContext2D
  readonly #levels = new Uint8Array(strip.columns * strip.rows)
  readonly #turn = new MessageChannel()
  #looks: Look[] = []
  #misread = 0
  #spent = 0
  #firstAt: number | undefined
  #surface: Looks['surface']

  constructor(selector: string) {
    this.#selector = selector
    const canvas = document.createElement('canvas')
    canvas.width = width
    canvas.height = height
    const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true })
    if (context === null) throw new Error('no canvas to read the clock from')
    this.#context = context
    // A message comes after the refresh in which it is sent: all that draws in this refresh has drawn.
    this.#turn.port1.onmessage = () => this.#look()
    this.#wait()
  }

  take(): Looks {
    const taken = {
      at: performance.timeOrigin + performance.now(),
      looks: this.#looks,
      misread: this.#misread,
      spent: this.#spent,
      ...(this.#firstAt === undefined ? {} : { firstAt: this.#firstAt }),
      ...(this.#surface === undefined ? {} : { surface: this.#surface }),
    }
    this.#looks = []
    this.#misread = 0
    this.#spent = 0
    return taken
  }

  #wait(): void {
    requestAnimationFrame(() => {
      this.#turn.port2.postMessage(0)
      this.#wait()
    })
  }

  #look(): void {
    const surface = document.querySelector(this.#selector)
    const begun = performance.now()
    if (surface instanceof HTMLVideoElement) {
      if (surface.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return
      this.#read(surface, surface.videoWidth, surface.videoHeight)
    } else if (surface instanceof HTMLCanvasElement) this.#read(surface, surface.width, surface.height)
    this.#spent += performance.now() - begun
  }

  #read(surface: HTMLVideoElement | HTMLCanvasElement, w: number, h: number): void {
    if (w === 0 || h === 0) return
    this.#surface = { element: surface.localName, width: w, height: h }
    this.#context.drawImage(surface, 0, 0, w, h * strip.height, 0, 0, width, height)
    const at = performance.timeOrigin + performance.now()
    const { data } = this.#context.getImageData(0, 0, width, height)
    for (let i = 0; i < this.#levels.length; i++) {
      const x = (i % strip.columns) * cell + cell / 2
      const y = Math.floor(i / strip.columns) * cell + cell / 2
      // Four pixels around the middle, in green, which is most of what is bright.
      const first = (y - 1) * width + x - 1
      this.#levels[i] =
        [first, first + 1, first + width, first + width + 1].reduce(
          (sum, pixel) => sum + (data[pixel * 4 + 1] ?? 0),
          0,
        ) / 4
    }
    const clock = readClock(this.#levels, at)
    if (clock !== undefined) {
      this.#firstAt ??= at
      this.#looks.push({ at, clock })
    } else if (this.#firstAt !== undefined) this.#misread += 1
  }
}
