/** A page of a real browser, whichever engine: what the tests ask of it is little, so that every driver can give it. */

/** What watches a page needs no more than this. Playwright's page has it too. */
export interface Evaluates {
  evaluate<Result, Argument>(
    run: (argument: Argument) => Result | Promise<Result>,
    argument: Argument,
  ): Promise<Result>
  evaluate<Result>(run: () => Result | Promise<Result>): Promise<Result>
}

export interface DrivenPage extends Evaluates {
  /** What the page threw and what it logged as an error, so far. */
  readonly errors: readonly string[]
  /** @param path a file to be written, PNG */
  screenshot(path: string): Promise<void>
  close(): Promise<void>
}

export interface Engine extends AsyncDisposable {
  readonly name: EngineName
  /** As the browser tells it. */
  readonly version: string
  open(url: string): Promise<DrivenPage>
}

export const engineNames = ['Chromium', 'Firefox', 'WebKit'] as const
export type EngineName = (typeof engineNames)[number]

/** A host that is this machine, and that browsers take for another one: pages from it are not secure. */
export const otherHost = 'lan.test'
