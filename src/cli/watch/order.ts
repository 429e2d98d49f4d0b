/**
 * mediabunny writes the frames of all tracks in the order of their times, and for that holds each until every other
 * track has given one or is closed for good. A track that is silent for a while would hold all the rest in memory,
 * and there is no option against it. What it asks is a flag of its own in the track's state, which is set and taken
 * back here: the only place that knows it. A test has a track fall silent and looks at what was written.
 */
import type { Output } from 'mediabunny'

interface TrackState {
  closed: boolean
}

/**
 * @param output started, its tracks with their decoder's configuration
 * @param track its index among those of the output
 * @param wanted whether the other tracks wait for its frames
 */
export function holdBack(output: Output, track: number, wanted: boolean): void {
  const muxer: unknown = Reflect.get(output, '_muxer')
  const states: unknown = isObject(muxer) ? Reflect.get(muxer, 'trackDatas') : undefined
  const state: unknown = Array.isArray(states) ? states[track] : undefined
  if (isTrackState(state)) state.closed = !wanted
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const isTrackState = (value: unknown): value is TrackState =>
  isObject(value) && 'closed' in value && typeof value.closed === 'boolean'
