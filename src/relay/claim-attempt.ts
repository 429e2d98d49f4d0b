/**
 * One attempt to claim a broadcast: over after a while, or when the publisher that wanted it has gone. What is over
 * appends no claim, which would take the broadcast from whoever has it by then.
 */
import type { Clock } from '../core/clock.ts'
import { FramelogError } from '../errors.ts'
import type { BroadcastId } from '../units.ts'
import type { Publication } from './publication.ts'

/** Milliseconds that the log may take for all that a claim needs. */
export const claimTimeout = 15_000

export class ClaimAttempt {
  /** Once it is there, it ends with the attempt. */
  publication: Publication | undefined
  readonly #isWanted: () => boolean
  readonly #expired = Promise.withResolvers<never>()
  readonly #cancel: () => void
  #error: FramelogError | undefined

  constructor(id: BroadcastId, clock: Clock, isWanted: () => boolean) {
    this.#isWanted = isWanted
    this.#expired.promise.catch(() => {})
    this.#cancel = clock.after(claimTimeout, () => {
      const seconds = claimTimeout / 1000
      this.#error = new FramelogError(
        'LOG_UNREACHABLE',
        `The log has not taken the claim of ${id} within ${seconds} s`,
      )
      this.publication?.close(this.#error)
      this.#expired.reject(this.#error)
    })
  }

  /** @throws FramelogError where it is over */
  check(): void {
    if (this.#error !== undefined) throw this.#error
    if (!this.#isWanted())
      throw new FramelogError('SHUTTING_DOWN', 'The publisher has gone before it was served')
  }

  /** @throws LOG_UNREACHABLE when time is up, whatever becomes of the work */
  async within<Result>(work: Promise<Result>): Promise<Result> {
    try {
      return await Promise.race([work, this.#expired.promise])
    } finally {
      this.#cancel()
    }
  }
}
