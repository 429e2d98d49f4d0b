/** What a command says of itself while it runs: to the standard error, since the output may be the standard one. */
const intervals = { terminal: 500, lines: 5000 } as const

export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export class Progress {
  readonly #stream: ProgressStream
  readonly #line: () => string | undefined
  readonly #timer: NodeJS.Timeout
  #width = 0

  /** @param line tells where things are; asked now and then */
  constructor(stream: ProgressStream, line: () => string | undefined) {
    this.#stream = stream
    this.#line = line
    this.#timer = setInterval(() => this.#show(), intervals[stream.isTTY ? 'terminal' : 'lines'])
  }

  /** A line that stays. */
  note(text: string): void {
    this.#stream.write(`${this.#clear()}${text}\n`)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#stream.write(this.#clear())
  }

  #show(): void {
    const line = this.#line()
    if (line === undefined) return
    if (!this.#stream.isTTY) {
      this.#stream.write(`${line}\n`)
      return
    }
    const shown = line.slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1))
    this.#stream.write(`\r${shown.padEnd(this.#width)}`)
    this.#width = shown.length
  }

  #clear(): string {
    const blank = this.#width === 0 ? '' : `\r${' '.repeat(this.#width)}\r`
    this.#width = 0
    return blank
  }
}
