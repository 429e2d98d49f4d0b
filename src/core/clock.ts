/** Time comes in as an argument, so that whoever tests owns it. */
import type { Millis } from '../units.ts'

export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. Other machines have another. */
  now(): Millis
  /** Milliseconds since some moment before; never goes back, whatever happens to the wall clock. */
  monotonic(): number
  /** Calls once after a span of time, unless the returned function is called before. */
  after(span: number, call: () => void): () => void
}
