/** Looks at a surface at every refresh, after everybody else has drawn, and reads the clock in the picture. */
import type { Look, Looks } from '../face.ts'
import { readClock, strip } from '../strip.ts'

export class Probe {
  readonly #selector: string
  readonly #levels = new Uint8Array(strip.columns * strip.rows)
  readonly #turn = new MessageChannel()
  #pixels = new Uint8Array()
  #looks: Look[] = []
  #misread = 0
  #spent = 0
  #firstAt: number | undefined
  #surface: Looks['surface']

  constructor(selector: string) {
    this.#selector = selector
    // A message comes after the refresh in which it is sent: all that draws in this refresh has drawn.
    this.#turn.port1.onmessage = () => void this.#look()
    this.#wait()
  }

  take(): Looks {
    const taken = {
      at: wallClock(),
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

  async #look(): Promise<void> {
    const surface = document.querySelector<HTMLVideoElement | HTMLCanvasElement>(this.#selector)
    if (surface === null || !hasPicture(surface)) return
    const at = wallClock()
    const clock = await this.#read(surface, at).catch(() => undefined)
    this.#spent += wallClock() - at
    if (clock !== undefined) {
      this.#firstAt ??= at
      this.#looks.push({ at, clock })
    } else if (this.#firstAt !== undefined) this.#misread += 1
  }

  /** The picture as a frame costs no conversion to colours and no drawing, and of it only the strip is copied. */
  async #read(surface: HTMLVideoElement | HTMLCanvasElement, at: number): Promise<number | undefined> {
    const frame = new VideoFrame(surface, { timestamp: 0 })
    try {
      const { visibleRect, format } = frame
      if (visibleRect === null || format === null) return undefined
      const { x, y, width, height } = visibleRect
      this.#surface = { element: surface.localName, width, height }
      const rect = { x, y, width, height: 2 * Math.ceil((height * strip.height) / 2) }
      const size = frame.allocationSize({ rect })
      if (this.#pixels.length < size) this.#pixels = new Uint8Array(size)
      const [layout] = await frame.copyTo(this.#pixels, { rect })
      if (layout === undefined) return undefined
      // Brightness is a plane of its own, or nearly the green of four bytes.
      const isPlanar = /^(I4|NV)/.test(format)
      this.#measure(layout, width, height * strip.height, isPlanar ? 1 : 4, isPlanar ? 0 : 1)
      return readClock(this.#levels, at)
    } finally {
      frame.close()
    }
  }

  /** Four pixels around the middle of each block. */
  #measure(
    { offset, stride }: PlaneLayout,
    width: number,
    height: number,
    step: number,
    first: number,
  ): void {
    const w = width / strip.columns
    const h = height / strip.rows
    for (let i = 0; i < this.#levels.length; i++) {
      let sum = 0
      for (const [dx, dy] of around) {
        const x = Math.floor(((i % strip.columns) + dx) * w)
        const y = Math.floor((Math.floor(i / strip.columns) + dy) * h)
        sum += this.#pixels[offset + y * stride + x * step + first] ?? 0
      }
      this.#levels[i] = sum / around.length
    }
  }
}

const around = [
  [0.4, 0.4],
  [0.6, 0.4],
  [0.4, 0.6],
  [0.6, 0.6],
] as const

function hasPicture(surface: HTMLVideoElement | HTMLCanvasElement): boolean {
  return surface instanceof HTMLVideoElement
    ? surface.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && surface.videoWidth > 0
    : surface.width > 0 && surface.height > 0
}

const wallClock = (): number => performance.timeOrigin + performance.now()
