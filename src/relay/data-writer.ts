/**
 * One who writes timed data into a broadcast: on a connection of its own, or a publisher beside its frames. What the log
 * does not have yet is bounded for each, and over all of a gateway.
 */
import { FramelogError, toFramelogError } from '../errors.ts'
import type { TimedData } from '../media/timed-data.ts'
import type { HeldBudget } from './held-frames.ts'

export const dataWriterLimits = {
  /** Records of one writer that wait for the log. */
  waiting: 256,
  /** Bytes of what waits, of all writers of a gateway. */
  bytes: 4 * 1024 * 1024,
  /** Bytes that a record counts for beside its data: many small ones cost memory too. */
  each: 256,
} as const

export class DataWriter {
  readonly #budget: HeldBudget
  readonly #append: (record: TimedData) => Promise<unknown>
  #waiting = 0

  /** @param budget shared by all writers of the gateway */
  constructor(budget: HeldBudget, append: (record: TimedData) => Promise<unknown>) {
    this.#budget = budget
    this.#append = append
  }

  /**
   * Resolves when the log has it. Records land in the order of the calls.
   * @param record borrowed until then
   * @throws FramelogError TOO_MANY, BROADCAST_NOT_LIVE, and what the log throws
   */
  async write(record: TimedData): Promise<void> {
    const size = record.data.byteLength + dataWriterLimits.each
    if (this.#waiting >= dataWriterLimits.waiting)
      throw new FramelogError('TOO_MANY', `${this.#waiting} records of this writer wait for the log`)
    if (!this.#budget.hasRoom(size))
      throw new FramelogError('TOO_MANY', `Data of ${this.#budget.used} bytes waits for the log`)
    this.#waiting += 1
    this.#budget.add(size)
    try {
      await this.#append(record)
    } catch (cause) {
      const error = toFramelogError(cause, 'LOG_FAILED')
      // The log refuses what stands behind a frame that is too large: sent again, it is taken.
      if (error.code !== 'FRAME_TOO_LARGE') throw error
      throw new FramelogError('LOG_OVERLOADED', 'The log has refused what came before it', { cause })
    } finally {
      this.#waiting -= 1
      this.#budget.add(-size)
    }
  }
}
