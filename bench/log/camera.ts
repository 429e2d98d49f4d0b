/** The load: frames that are due at even distances over all broadcasts, whatever timers do. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Plan {
  readonly live: number
  /** Frames a second, of each broadcast. */
  readonly rate: number
  readonly seconds: number
}

export interface Due {
  readonly broadcast: number
  /** Frame of that broadcast, from 0. */
  readonly sequence: number
  /** Milliseconds after the start. */
  readonly at: number
}

export const framesOf = ({ live, rate, seconds }: Plan): number => Math.round(live * rate * seconds)

export const dueOf = (plan: Plan, frame: number): Due => ({
  broadcast: frame % plan.live,
  sequence: Math.floor(frame / plan.live),
  at: (frame * 1000) / (plan.live * plan.rate),
})

/** Calls for every frame no sooner than it is due; each time is counted from the start, so that none drifts. */
export async function film(plan: Plan, onDue: (due: Due, dueAt: number) => void): Promise<void> {
  const start = performance.now() + 20
  const frames = framesOf(plan)
  for (let frame = 0; frame < frames; ) {
    const due = dueOf(plan, frame)
    const wait = start + due.at - performance.now()
    if (wait > 0) {
      await sleep(wait)
      continue
    }
    onDue(due, start + due.at)
    frame += 1
  }
}
