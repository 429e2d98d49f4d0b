/** How long to wait before connecting again: doubling, jittered, so that a gateway's clients do not return as one. */
export const backOffLimits = { first: 200, last: 3000 } as const

/**
 * @param attempt 0 for the first try after a loss
 * @param random 0 to 1
 * @returns milliseconds
 */
export function backOff(attempt: number, random: number): number {
  const { first, last } = backOffLimits
  const full = Math.min(last, first * 2 ** Math.min(attempt, 16))
  return full * (0.5 + random / 2)
}
