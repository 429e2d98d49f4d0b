/** What the bench's part of a page offers to whoever drives the page: plain values in and out. */

/** One look at the surface, with a clock that could be read. */
export interface Look {
  /** The viewer's wall clock when it looked, milliseconds. */
  readonly at: number
  /** The clock in the picture: when it was drawn, milliseconds. */
  readonly clock: number
}

export interface Looks {
  /** When they were taken: the viewer's wall clock, milliseconds. */
  readonly at: number
  readonly looks: readonly Look[]
  /** Looks at a picture whose clock could not be read; those before the first good one do not count. */
  readonly misread: number
  /** Of the first good look ever on this page, milliseconds of wall clock. */
  readonly firstAt?: number
  /** Milliseconds that the looks took together. */
  readonly spent: number
  /** What is looked at: `canvas` or `video`, and its own size. */
  readonly surface?: { readonly element: string; readonly width: number; readonly height: number }
}

/** Samples of sound since the beginning. */
export interface Sound {
  readonly played: number
  /** Silence, or made up, for want of what should have come. */
  readonly missing: number
}

export interface Peer {
  /** Sends the page's camera, without its sound where `sound` is false. @returns the offer with its candidates */
  offer(codec: string, sound: boolean): Promise<string>
  /** Receives into a video element of its own. @returns the answer with its candidates */
  answer(offer: string): Promise<string>
  accept(answer: string): Promise<void>
  /** What codec it sends or receives pictures in. */
  codec(): Promise<string>
  /** Of what it receives; undefined where no sound comes. */
  sound(): Promise<Sound | undefined>
  /** Idempotent. */
  close(): void
}

export interface LagPage {
  /** Begins to look at the first element that the selector finds, at every refresh. */
  look(selector: string): void
  /** What was seen since it was taken last. */
  take(): Looks
  /** The page's wall clock, milliseconds. */
  now(): number
  /** How many MediaRecorders the page has made. */
  recorders(): number
  readonly peer: Peer
}
