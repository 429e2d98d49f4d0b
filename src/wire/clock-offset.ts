/**
 * The gateway's wall clock as seen from a client: of the last few pings, the one that was answered soonest says
 * it best (RFC 5905 section 10 filters the same way).
 */
export class ClockOffset {
  readonly #samples: { readonly offset: number; readonly roundTrip: number }[] = []

  /**
   * @param sent when the ping left, on the client's clock, milliseconds
   * @param received when its pong came
   * @param time the gateway's clock in between, in whole milliseconds
   */
  add(sent: number, received: number, time: number): void {
    const roundTrip = received - sent
    if (!(roundTrip >= 0)) return
    // Half a millisecond is what the gateway's rounding takes away on average.
    this.#samples.push({ offset: time + 0.5 - (sent + roundTrip / 2), roundTrip })
    if (this.#samples.length > 8) this.#samples.shift()
  }

  /** Gateway's clock minus the client's, milliseconds; 0 until known. */
  get offset(): number {
    return this.#best()?.offset ?? 0
  }

  /** Of the best sample, milliseconds. */
  get roundTrip(): number | undefined {
    return this.#best()?.roundTrip
  }

  #best(): { readonly offset: number; readonly roundTrip: number } | undefined {
    let best = this.#samples[0]
    for (const sample of this.#samples) {
      if (best === undefined || sample.roundTrip < best.roundTrip) best = sample
    }
    return best
  }
}
