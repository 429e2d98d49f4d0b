/** A page that looks at its own surface at every refresh. */
import type { Page } from 'playwright-core'
import { PageState } from '../../test/support/pages.ts'
import type { LagPage, Looks } from './face.ts'

export class ProbedPage {
  readonly page: Page
  readonly state: PageState
  /** What the page threw or logged as an error. */
  readonly errors: readonly string[]

  constructor(page: Page, errors: readonly string[]) {
    this.page = page
    this.errors = errors
    this.state = new PageState(page)
  }

  /** Runs in the page, with what the page offers to the bench. */
  call<Argument, Result>(
    run: (bench: LagPage, argument: Argument) => Result | Promise<Result>,
    argument: Argument,
  ): Promise<Result> {
    const source = `(argument => (${run})(globalThis.lagBench, argument))(${JSON.stringify(argument) ?? 'undefined'})`
    return this.page.evaluate(source) as Promise<Result>
  }

  take(): Promise<Looks> {
    return this.call(bench => bench.take(), undefined)
  }

  /** Waits for what was seen to be as wanted. @throws with what the page says of itself */
  async until(what: string, wanted: (looks: Looks) => boolean, limit = 20_000): Promise<Looks> {
    const deadline = performance.now() + limit
    for (;;) {
      const looks = await this.take()
      if (wanted(looks)) return looks
      if (performance.now() > deadline) {
        const telling = JSON.stringify(await this.state.read())
        throw new Error(`${what} did not come: ${telling} ${this.errors.join('; ')}`)
      }
      await this.page.evaluate('new Promise(resolve => requestAnimationFrame(resolve))')
    }
  }

  /** @returns wall clock at the first picture whose clock could be read, milliseconds */
  async firstPicture(): Promise<number> {
    const { firstAt } = await this.until('a picture with a clock', looks => looks.firstAt !== undefined)
    return firstAt ?? Number.NaN
  }

  /** How far the page's wall clock is from this process's, milliseconds; half the best round trip is not known. */
  async clockOffset(): Promise<number> {
    let best = { offset: 0, roundTrip: Number.POSITIVE_INFINITY }
    for (let i = 0; i < 10; i++) {
      const asked = performance.timeOrigin + performance.now()
      const theirs = await this.call(bench => bench.now(), undefined)
      const told = performance.timeOrigin + performance.now()
      if (told - asked < best.roundTrip)
        best = { offset: theirs - (asked + told) / 2, roundTrip: told - asked }
    }
    return Math.max(0, Math.abs(best.offset) - best.roundTrip / 2)
  }
}
