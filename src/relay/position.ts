/** Where a viewer begins: `live`, `start`, `-30s`, an ISO 8601 time, or `@` and an offset. */
import { FramelogError } from '../errors.ts'
import { type Millis, type Offset, quote } from '../units.ts'

export type Position =
  | { readonly kind: 'live' }
  | { readonly kind: 'start' }
  | { readonly kind: 'time'; readonly time: Millis }
  | { readonly kind: 'offset'; readonly offset: Offset }

const spanUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const spanPattern = /^-(\d{1,9})(ms|s|m|h|d)$/
const isoPattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/
const offsetPattern = /^@(\d{1,15})$/

/** @throws FramelogError BAD_POSITION */
export function parsePosition(text: string, now: Millis): Position {
  if (text === 'live' || text === 'start') return { kind: text }
  const span = spanPattern.exec(text)
  if (span) {
    const unit = spanUnits[span[2] as keyof typeof spanUnits]
    return { kind: 'time', time: (now - Number(span[1]) * unit) as Millis }
  }
  const at = offsetPattern.exec(text)
  if (at) return { kind: 'offset', offset: Number(at[1]) as Offset }
  if (isoPattern.test(text)) {
    const time = Date.parse(text)
    if (Number.isFinite(time)) return { kind: 'time', time: time as Millis }
  }
  throw new FramelogError('BAD_POSITION', `${quote(text)} is no position in a broadcast`)
}
