/** Where the lag goes, while one looks: the spans of the way stacked over the last half minute, and what each is now. */
import { type PlaceName, places, type Way } from '../player/frame-ways.ts'
import { text } from '../text.ts'
import { element, setText } from './dom.ts'

const words = text.lag

/** Columns of the chart, one for each call of `add`. */
const columns = 120
/** Pixels of the page. */
const height = 200
/** Milliseconds at the top, at the least: a small lag shall look small. */
const leastTop = 60
/** Share of the columns that the chart has room for: what a join took, or a stall, goes beyond its top. */
const shown = 0.95

/** Of the camera's side, the log's, and the viewer's: told apart by hue, and from their neighbours by lightness. */
const colours: Readonly<Record<PlaceName, string>> = {
  encoded: '#8a5a00',
  sent: '#c98a1c',
  received: '#f0c268',
  appended: '#14666e',
  read: '#2f979c',
  relayed: '#86d3d5',
  arrived: '#5a4b9c',
  decoded: '#8878cf',
  painted: '#bdb2ee',
}

export class LagChart {
  readonly root: HTMLElement
  readonly #canvas = element('canvas', { height, 'aria-hidden': 'true' })
  readonly #total = element('strong', {}, text.figures.none)
  readonly #values = new Map<PlaceName, { readonly row: HTMLElement; readonly value: HTMLElement }>()
  #ways: (Way | undefined)[] = []

  constructor() {
    const legend = element('dl', { class: 'hops' })
    for (const name of places) {
      const value = element('dd', {}, text.figures.none)
      const mark = element('span', { class: 'mark' })
      mark.style.background = colours[name]
      const row = element('div', {}, mark, element('dt', {}, words.places[name]), value)
      row.title = words.explained[name]
      this.#values.set(name, { row, value })
      legend.append(row)
    }
    this.root = element(
      'section',
      { class: 'lag-chart', 'aria-label': words.title },
      element('div', { class: 'panel-head' }, element('h2', {}, words.title), this.#total),
      this.#canvas,
      legend,
    )
  }

  /** To be called at even distances. @param way undefined where nothing was shown live */
  add(way: Way | undefined): void {
    this.#ways.push(way)
    if (this.#ways.length > columns) this.#ways.shift()
    setText(this.#total, way === undefined ? text.figures.none : words.total(way.total))
    for (const [name, { row, value }] of this.#values) {
      const span = way?.spans[name]
      row.dataset.known = String(span !== undefined)
      setText(value, span === undefined ? text.figures.none : words.span(span))
    }
    this.#draw()
  }

  #draw(): void {
    const width = this.#canvas.clientWidth
    const context = this.#canvas.getContext('2d')
    // Nobody looks at it.
    if (context === null || width === 0) return
    this.#canvas.width = width * devicePixelRatio
    this.#canvas.height = height * devicePixelRatio
    context.scale(devicePixelRatio, devicePixelRatio)
    const totals = this.#ways.flatMap(way => (way === undefined ? [] : [way.total])).sort((a, b) => a - b)
    const most = totals[Math.ceil(shown * totals.length) - 1] ?? 0
    const step = stepOf(Math.max(leastTop, most * 1.1))
    const top = Math.ceil(Math.max(leastTop, most * 1.1) / step) * step
    const column = width / columns
    for (const [i, way] of this.#ways.entries()) {
      let bottom = height
      for (const name of places) {
        const tall = ((way?.spans[name] ?? 0) / top) * height
        if (tall === 0) continue
        bottom -= tall
        context.fillStyle = colours[name]
        // Half a pixel more, or the ground would shine through between two columns.
        context.fillRect(width - (this.#ways.length - i) * column, bottom, column + 0.5, tall)
      }
    }
    const style = getComputedStyle(this.#canvas)
    context.font = `12px ${style.fontFamily}`
    context.textBaseline = 'bottom'
    for (let line = step; line < top; line += step) {
      const y = Math.round(height - (line / top) * height) + 0.5
      context.strokeStyle = style.getPropertyValue('--line')
      context.beginPath()
      context.moveTo(0, y)
      context.lineTo(width, y)
      context.stroke()
      context.fillStyle = style.color
      context.fillText(text.figures.milliseconds(line), 4, y - 1)
    }
  }
}

/** Of the lines of the grid: 1, 2 or 5 times a power of ten, three to six of them. */
function stepOf(top: number): number {
  const power = 10 ** Math.floor(Math.log10(top / 3))
  return [5, 2, 1].map(n => n * power).find(step => top / step >= 3) ?? power
}
