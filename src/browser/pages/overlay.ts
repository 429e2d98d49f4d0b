/**
 * Boxes over the picture, from the track `meta-boxes`: what somebody's program has found in a frame, drawn while that frame
 * is shown. Each record is JSON, `{"boxes": [{"x", "y", "width", "height", "label"?}]}`, all as shares of the picture, 0 to 1.
 * The boxes of a record are shown for its duration, or where it has none until the next one, a second at most.
 */
import * as v from 'valibot'
import { decodeText } from '../../core/text.ts'
import type { TimedData } from '../../media/timed-data.ts'
import { element } from './dom.ts'

export const boxesTrack = 'meta-boxes'
/** Microseconds for which boxes are shown whose record does not say. */
const usual = 1_000_000

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1))
const schema = v.object({
  boxes: v.pipe(
    v.array(
      v.object({
        x: share,
        y: share,
        width: share,
        height: share,
        label: v.optional(v.pipe(v.string(), v.maxLength(100))),
      }),
    ),
    v.maxLength(100),
  ),
})

export class Overlay {
  readonly root = element('div', { class: 'overlay', 'aria-hidden': 'true' })
  /** Media time from which and up to which what is drawn is shown, microseconds. */
  #shown: { readonly from: number; readonly to: number } | undefined

  /** The picture that it belongs to, or one behind it, has been painted. */
  take({ track, data, moment, duration }: TimedData): void {
    if (track !== boxesTrack) return
    const parsed = v.safeParse(schema, parse(data))
    if (!parsed.success) return
    this.#shown = moment && { from: moment.timestamp, to: moment.timestamp + (duration ?? usual) }
    this.root.dataset.moment = String(moment?.timestamp ?? '')
    this.root.replaceChildren(
      ...parsed.output.boxes.map(({ x, y, width, height, label }) => {
        const box = element(
          'div',
          { class: 'box' },
          label === undefined ? undefined : element('span', {}, label),
        )
        box.style.left = `${x * 100}%`
        box.style.top = `${y * 100}%`
        box.style.width = `${width * 100}%`
        box.style.height = `${height * 100}%`
        return box
      }),
    )
  }

  /** Lies over the picture, wherever in its frame that is. @param picture its own size, pixels */
  fit(picture: { readonly width: number; readonly height: number } | undefined): void {
    const { clientWidth = 0, clientHeight = 0 } = this.root.parentElement ?? {}
    if (picture === undefined || picture.width === 0 || clientWidth === 0) return
    const scale = Math.min(clientWidth / picture.width, clientHeight / picture.height)
    const [width, height] = [picture.width * scale, picture.height * scale]
    Object.assign(this.root.style, {
      left: `${(clientWidth - width) / 2}px`,
      top: `${(clientHeight - height) / 2}px`,
      width: `${width}px`,
      height: `${height}px`,
    })
  }

  /** What is shown now. @param mediaTime microseconds */
  follow(mediaTime: number | undefined): void {
    if (this.#shown === undefined || mediaTime === undefined) return
    if (mediaTime < this.#shown.from || mediaTime >= this.#shown.to) this.clear()
  }

  clear(): void {
    this.#shown = undefined
    delete this.root.dataset.moment
    this.root.replaceChildren()
  }
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(decodeText(data))
  } catch {
    return undefined
  }
}
