/** From looks to figures. All times are milliseconds. */
import type { Look } from './face.ts'

/** Longer than this without a new picture is a freeze. */
export const freezeAfter = 200

/** The end of a measurement that tells where a player has come to. */
export const settledFor = 5000

export interface Figures {
  /** Age of what is on the surface, at every refresh. */
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
  /** Ages of which a hundredth, two hundredths, and so on are no greater: for the plot. */
  readonly ages: readonly number[]
  /** Median of the last seconds: a player may still be on its way to the edge. */
  readonly settled: number
  /** Median age of a picture when it is seen first. */
  readonly fresh: number
  /** Different pictures a second. */
  readonly pictures: number
  readonly freezes: number
  /** The longest time without a new picture. */
  readonly gap: number
  /** Times that an older picture followed a newer one. */
  readonly back: number
}

/**
 * @param until when the viewer stopped looking, on its wall clock
 * @returns undefined where fewer than two pictures were seen
 */
export function figuresOf(looks: readonly Look[], until: number): Figures | undefined {
  const [first] = looks
  if (first === undefined || looks.every(({ clock }) => clock === first.clock)) return undefined
  const ages = sorted(looks.map(({ at, clock }) => at - clock))
  const news = looks.filter((look, i) => i === 0 || look.clock !== looks[i - 1]?.clock)
  // What is shown at the end has been shown since it was seen first.
  const times = [...news.map(({ at }) => at), until]
  const gaps = times.slice(1).map((at, i) => at - (times[i] ?? at))
  return {
    p50: quantile(ages, 0.5),
    p95: quantile(ages, 0.95),
    p99: quantile(ages, 0.99),
    max: quantile(ages, 1),
    ages: Array.from({ length: 100 }, (_, i) => quantile(ages, (i + 1) / 100)),
    settled: median(looks.filter(({ at }) => at > until - settledFor).map(({ at, clock }) => at - clock)),
    fresh: median(news.slice(1).map(({ at, clock }) => at - clock)),
    pictures: ((new Set(looks.map(({ clock }) => clock)).size - 1) * 1000) / (until - first.at),
    freezes: gaps.filter(gap => gap > freezeAfter).length,
    gap: Math.max(...gaps),
    back: news.filter(({ clock }, i) => i > 0 && clock < (news[i - 1]?.clock ?? clock)).length,
  }
}

export const median = (values: readonly number[]): number => {
  const ordered = sorted(values)
  const middle = ordered.length >> 1
  const [low, high] = [ordered[Math.max(0, middle - 1)], ordered[middle]]
  if (high === undefined || low === undefined) return Number.NaN
  return ordered.length % 2 === 1 ? high : (low + high) / 2
}

/** Nearest rank. */
export function quantile(ordered: readonly number[], share: number): number {
  return ordered[Math.max(0, Math.ceil(share * ordered.length) - 1)] ?? Number.NaN
}

/** Least squares. @returns how much y grows with one of x */
export function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const [x, y] = [mean(points.map(point => point.x)), mean(points.map(point => point.y))]
  let [xy, xx] = [0, 0]
  for (const point of points) {
    xy += (point.x - x) * (point.y - y)
    xx += (point.x - x) ** 2
  }
  return xy / xx
}

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b)
