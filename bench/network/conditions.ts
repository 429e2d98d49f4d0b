/** The networks that are measured over: what one way from page to page is like, half of it on each of the two links. */

export interface Condition {
  readonly name: string
  /** From page to page and back, milliseconds. */
  readonly roundTrip: number
  /** Share of packets that one way from page to page loses. */
  readonly loss?: number
  /** By how much a packet is late at most, one way from page to page, milliseconds; it overtakes none. */
  readonly jitter?: number
  /** Bits a second that a link takes, each way. */
  readonly rate?: number
  /** Which link is slow; both where it is not named. */
  readonly slow?: 'viewer'
}

/** Milliseconds that a queue before a slow link holds; what comes then is lost. */
export const queueTime = 200

const megabit = 1_000_000

export const conditions: readonly Condition[] = [
  { name: 'nothing in the way', roundTrip: 0 },
  { name: '20 ms', roundTrip: 20 },
  { name: '60 ms', roundTrip: 60 },
  { name: '150 ms', roundTrip: 150 },
  { name: '20 ms, 1 % lost', roundTrip: 20, loss: 0.01 },
  { name: '60 ms, 1 % lost', roundTrip: 60, loss: 0.01 },
  { name: '60 ms, 3 % lost', roundTrip: 60, loss: 0.03 },
  { name: '150 ms, 1 % lost', roundTrip: 150, loss: 0.01 },
  { name: '60 ms, jitter 10', roundTrip: 60, jitter: 10 },
  { name: '60 ms, jitter 30', roundTrip: 60, jitter: 30 },
  { name: '60 ms, 2 Mb/s', roundTrip: 60, rate: 2 * megabit },
  { name: '60 ms, 1 Mb/s', roundTrip: 60, rate: megabit },
  { name: '60 ms, viewer 1 Mb/s', roundTrip: 60, rate: megabit, slow: 'viewer' },
  { name: '60 ms, viewer 0.5 Mb/s', roundTrip: 60, rate: megabit / 2, slow: 'viewer' },
]

/** One direction of one link, as the relay takes it. */
export interface Direction {
  readonly delay: number
  readonly jitter: number
  readonly loss: number
  readonly rate: number
  readonly queue: number
  readonly seed: number
}

/** @returns both directions of the publisher's link, then of the viewer's */
export function directionsOf(
  { roundTrip, loss = 0, jitter = 0, rate = 0, slow }: Condition,
  seed: number,
): readonly Direction[] {
  return [0, 1, 2, 3].map(i => {
    const isViewers = i >= 2
    return {
      delay: roundTrip / 4,
      jitter: jitter / 2,
      // What passes both links passes each.
      loss: 1 - Math.sqrt(1 - loss),
      rate: slow === 'viewer' && !isViewers ? 0 : rate,
      queue: queueTime,
      seed: seed * 4 + i,
    }
  })
}
