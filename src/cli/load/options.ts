/** The options of `load`, checked. */
import { FramelogError } from '../../errors.ts'
import { type BroadcastId, broadcastId, quote } from '../../units.ts'
import { type Delivery, deliveries } from '../../wire/message.ts'
import { gatewayUrl, spanOption } from '../options.ts'
import { ownClip } from './clip.ts'

/** As the command line has them. */
export interface LoadFlags {
  readonly url: readonly string[]
  readonly publishers: string
  readonly viewers: string
  readonly slow: string
  readonly stay?: string
  readonly duration: string
  readonly warmUp: string
  readonly pace: string
  readonly delivery?: string
  readonly file?: string
  readonly json?: boolean
}

export interface LoadOptions {
  readonly urls: readonly URL[]
  /** Broadcasts that are there already; none where it publishes its own. */
  readonly ids: readonly BroadcastId[]
  readonly publishers: number
  readonly viewers: number
  /** Of the viewers. */
  readonly slow: number
  /** Milliseconds that a viewer stays on average; undefined for as long as it lasts. */
  readonly stay: number | undefined
  /** Milliseconds, each. */
  readonly duration: number
  readonly warmUp: number
  /** What viewers ask of the gateway. */
  readonly delivery: Delivery | undefined
  /** Viewers that join in a second. */
  readonly pace: number
  readonly file: string
  readonly json: boolean
}

export const loadLimits = { publishers: 1000, viewers: 20_000, pace: 10_000, gateways: 64 } as const

/** @throws FramelogError BAD_OPTION, BAD_BROADCAST_ID, GATEWAY_UNREACHABLE */
export function loadOptions(names: readonly string[], flags: LoadFlags): LoadOptions {
  const ids = names.map(broadcastId)
  const publishers = ids.length > 0 ? 0 : whole('--publishers', flags.publishers, 1, loadLimits.publishers)
  const viewers = whole('--viewers', flags.viewers, 0, loadLimits.viewers)
  if (flags.url.length > loadLimits.gateways)
    throw new FramelogError('BAD_OPTION', `--url names over ${loadLimits.gateways} gateways`)
  return {
    urls: flags.url.map(gatewayUrl),
    ids,
    publishers,
    viewers,
    slow: whole('--slow', flags.slow, 0, viewers),
    stay: flags.stay === undefined ? undefined : spanOption('--stay', flags.stay),
    duration: spanOption('--duration', flags.duration),
    warmUp: spanOption('--warm-up', flags.warmUp),
    pace: whole('--pace', flags.pace, 1, loadLimits.pace),
    delivery: flags.delivery === undefined ? undefined : deliveryOption(flags.delivery),
    file: flags.file ?? ownClip,
    json: flags.json === true,
  }
}

function deliveryOption(text: string): Delivery {
  const delivery = deliveries.find(each => each === text)
  if (delivery !== undefined) return delivery
  throw new FramelogError('BAD_OPTION', `--delivery is ${quote(text)}: expected ${deliveries.join(' or ')}`)
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new FramelogError(
    'BAD_OPTION',
    `${name} is ${quote(text)}: expected a whole number from ${least} to ${most}`,
  )
}
