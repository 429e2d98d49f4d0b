/**
 * Keeps long work on a file from holding up the process: it must answer signals, and whoever asks whether it lives.
 * The operator hears of every tenth, where it takes a while.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Bytes of work in one turn: some milliseconds. */
const turnBytes = 4 * 1024 * 1024
/** Bytes of work from which on it takes a second or more. */
export const longWork = 512 * 1024 * 1024

export class Pace {
  readonly #total: number
  readonly #say: (percent: number) => void
  #done = 0
  #since = 0
  #tenths = 0

  /** @param total bytes, about */
  constructor(total: number, say: (percent: number) => void = () => {}) {
    this.#total = total
    this.#say = say
  }

  add(bytes: number): void {
    this.#done += bytes
    this.#since += bytes
  }

  /** Whether others are to have their turn. */
  get isDue(): boolean {
    return this.#since >= turnBytes
  }

  async turn(): Promise<void> {
    this.#since = 0
    const tenths = Math.floor((this.#done / this.#total) * 10)
    if (this.#total >= longWork && tenths > this.#tenths && tenths < 10) {
      this.#tenths = tenths
      this.#say(tenths * 10)
    }
    await nextTurn()
  }
}
