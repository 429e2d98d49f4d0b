/** One subject: opened, warmed up, looked at, closed. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sound } from './face.ts'
import { type Figures, figuresOf } from './figures.ts'
import { type Load, loadBetween, processorTimes } from './processors.ts'
import type { LagSettings } from './settings.ts'
import type { Stage, View } from './stage.ts'
import { muted, type Subject, studios } from './subjects.ts'

export interface Measured extends Figures {
  /** From connecting to the first picture, milliseconds; of a camera on its own screen there is none. */
  readonly join?: number
  readonly misread: number
  /** Percent of the sound that was silence, or made up, for want of it; undefined where none is played. */
  readonly missing?: number
  readonly load: Load
  /** How far the viewer's clock is from this process's at least, milliseconds. */
  readonly clockOffset: number
  /** Milliseconds that one look took on average. */
  readonly look: number
  readonly size: string
  /** What else was to be counted meanwhile, by name. */
  readonly besides?: Readonly<Record<string, number>>
}

/** Counts something beside the looks, from its call until what it gives is called. */
export type Beside = (stage: Stage, view: View) => Promise<() => Promise<Readonly<Record<string, number>>>>

type MeasureSettings = Pick<LagSettings, 'seconds' | 'warmUp' | 'tries'>

export type Outcome =
  | { readonly kind: 'measured'; readonly figures: Measured }
  /** The pages know no such player or publisher. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'failed'; readonly reason: string }

/** Percent of the machine that others may take: with more, a subject is measured again, and marked in the table. */
const othersLimit = 10

/** Where the machine does not tell, it is taken for calm. */
export const isCalm = ({ load }: Measured): boolean => (load.others ?? 0) <= othersLimit

/** Which try counts is decided by what others did, never by what came out. */
export async function measure(
  stage: Stage,
  subject: Subject,
  settings: MeasureSettings,
  beside?: Beside,
): Promise<Outcome> {
  let best: Outcome | undefined
  for (let i = 0; i < settings.tries; i++) {
    const outcome = await measureOnce(stage, subject, settings, beside)
    if (outcome.kind !== 'measured') return best ?? outcome
    if (best?.kind !== 'measured' || othersIn(outcome) < othersIn(best)) best = outcome
    if (isCalm(outcome.figures)) break
  }
  return best ?? { kind: 'absent' }
}

const othersIn = (outcome: { readonly figures: Measured }): number => outcome.figures.load.others ?? 0

async function measureOnce(
  stage: Stage,
  subject: Subject,
  settings: MeasureSettings,
  beside: Beside | undefined,
): Promise<Outcome> {
  try {
    if (!(await publishesAsAsked(stage, subject))) return { kind: 'absent' }
    await using view = await stage.view(subject.view, subject.watch)
    const firstAt = await view.page.firstPicture()
    const { surface } = await view.page.take()
    if (surface?.element !== subject.surface) return { kind: 'absent' }
    await sleep(settings.warmUp * 1000)
    const clockOffset = await view.page.clockOffset()
    const end = await beside?.(stage, view)
    await view.page.take()
    const heard = await soundOf(subject, view)
    const before = processorTimes()
    await sleep(settings.seconds * 1000)
    const after = processorTimes()
    const { looks, at, misread, spent, surface: last } = await view.page.take()
    const besides = await end?.()
    const figures = figuresOf(looks, at)
    if (figures === undefined) return { kind: 'failed', reason: await stillWords(view, misread) }
    const missing = missingBetween(heard, await soundOf(subject, view))
    const join = await joinOf(subject, view, firstAt)
    return {
      kind: 'measured',
      figures: {
        ...figures,
        ...(join === undefined ? {} : { join }),
        misread,
        ...(missing === undefined ? {} : { missing }),
        load: loadBetween(before, after),
        clockOffset,
        look: spent / (looks.length + misread),
        size: `${last?.width}x${last?.height}`,
        ...(besides === undefined ? {} : { besides }),
      },
    }
  } catch (error) {
    return { kind: 'failed', reason: reasonOf(error) }
  }
}

/** What went wrong first: closing what is gone fails too, and hides it. */
export function reasonOf(error: unknown): string {
  if (error instanceof SuppressedError) return reasonOf(error.suppressed)
  return error instanceof Error ? error.message : String(error)
}

/** A studio page that does not know the mode publishes by WebCodecs, and makes no MediaRecorder. */
export async function publishesAsAsked(stage: Stage, { studio }: Subject): Promise<boolean> {
  const recorders = await stage.studio.call(bench => bench.recorders(), undefined)
  return studios[studio] === studios.MediaRecorder ? recorders > 0 : recorders === 0
}

/** A watch page tells it from its open socket on; the reference's begins with the offer. */
async function joinOf(
  { view }: Subject,
  { page, begun }: View,
  firstAt: number,
): Promise<number | undefined> {
  if (view === 'screen') return undefined
  return view === 'peer' ? firstAt - begun : (await page.state.read()).player?.joinMs
}

export async function soundOf({ view, watch }: Subject, { page }: View): Promise<Sound | undefined> {
  if (view === 'screen' || watch.endsWith(muted)) return undefined
  if (view === 'peer') return page.call(({ peer }) => peer.sound(), undefined)
  const { samplesPlayed = 0, starved = 0 } = (await page.state.read()).player?.audio ?? {}
  return { played: samplesPlayed, missing: starved }
}

/** @returns percent of the samples in between */
export function missingBetween(before: Sound | undefined, after: Sound | undefined): number | undefined {
  if (before === undefined || after === undefined) return undefined
  // A sound card that took another one's place counts from zero.
  const { played, missing } = after.played < before.played ? { played: 0, missing: 0 } : before
  const share = after.missing - missing
  return (100 * share) / Math.max(1, after.played - played + share)
}

async function stillWords({ page }: View, misread: number): Promise<string> {
  const what = misread > 0 ? `${misread} pictures could not be read` : 'the picture stands still'
  return `${what}: ${JSON.stringify(await page.state.read())} ${page.errors.join('; ')}`
}
