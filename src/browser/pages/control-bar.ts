/** Under the picture: play and pause, keyframe by keyframe, how fast, where in time, and back to what is on now. */
import type { Player, PlayerFigures, Span } from '../player/player.ts'
import { clockWords, text } from '../text.ts'
import { button, element, setText } from './dom.ts'
import { RenditionPicker } from './rendition-picker.ts'

const words = text.controls

export const controlLimits = {
  /** Milliseconds between two seeks while the slider is dragged. */
  drag: 250,
  /** Milliseconds that an arrow key goes, and within which the next one goes on from there. */
  key: 10_000,
  row: 1000,
} as const

export const rates = [0.5, 1, 1.5, 2, 4] as const

export class ControlBar {
  readonly root: HTMLElement
  readonly #player: Player
  readonly #page: URL
  readonly #toggle: HTMLButtonElement
  readonly #slider: HTMLInputElement
  readonly #gaps = element('div', { class: 'gaps', 'aria-hidden': 'true' })
  #drawnGaps = ''
  readonly #bubble = element('output', { class: 'bubble', hidden: true, 'aria-hidden': 'true' })
  readonly #clock = element('time', { class: 'clock' })
  readonly #rate: HTMLSelectElement
  readonly #renditions: RenditionPicker
  readonly #live: HTMLButtonElement
  readonly #copy: HTMLButtonElement
  /** The newest figures, and when the span in them came, on the clock of `performance.now()`. */
  #figures: PlayerFigures | undefined
  #spanAt = 0
  /** Where the slider is dragged to; and the seek that is still to come of it. */
  #dragged: number | undefined
  #seeking: number | undefined
  #soughtAt = Number.NEGATIVE_INFINITY
  #soughtTo: number | undefined

  constructor(player: Player, page: URL) {
    this.#player = player
    this.#page = page
    this.#toggle = button(words.pause, 'plain', () => this.#togglePlaying())
    this.#slider = element('input', {
      type: 'range',
      class: 'timeline',
      min: 0,
      max: 1,
      step: 1,
      'aria-label': words.timeline,
      disabled: true,
    })
    this.#rate = element(
      'select',
      { class: 'choice rate', 'aria-label': words.rate },
      ...rates.map(rate => element('option', { value: rate, selected: rate === 1 }, words.times(rate))),
    )
    this.#renditions = new RenditionPicker(player)
    this.#live = button(words.live, 'plain', () => player.seek('live'))
    this.#copy = button(words.copy, 'plain', () => void this.#copyLink())
    const back = button(words.keyframeBack, 'plain', () => player.step(-1))
    const on = button(words.keyframeOn, 'plain', () => player.step(1))
    for (const [node, label] of [
      [back, words.keyframeBackLabel],
      [on, words.keyframeOnLabel],
    ] as const) {
      node.ariaLabel = label
      node.title = label
    }
    this.#listen()
    this.root = element(
      'div',
      { class: 'playback', role: 'group', 'aria-label': words.label },
      element('div', { class: 'line' }, this.#gaps, this.#slider, this.#bubble),
      element(
        'div',
        { class: 'row' },
        this.#toggle,
        back,
        on,
        button(words.start, 'plain', () => player.seek('start')),
        this.#live,
        this.#clock,
        element('span', { class: 'space' }),
        this.#renditions.root,
        this.#rate,
        this.#copy,
      ),
    )
  }

  /** To be called a few times a second. */
  refresh(figures: PlayerFigures): void {
    const { span, clock, rate } = figures
    if (span?.last !== this.#figures?.span?.last) this.#spanAt = performance.now()
    const { kind } = this.#player.state
    setText(this.#toggle, this.#player.isPaused || kind === 'ended' ? words.play : words.pause)
    this.#live.disabled = this.#player.isOver
    this.#live.ariaPressed = String(kind === 'live')
    if (rate !== this.#figures?.rate) this.#rate.value = String(rate)
    this.#figures = figures
    this.#renditions.refresh(figures)
    this.#slider.disabled = span === undefined
    if (span !== undefined) {
      this.#slider.min = String(span.first)
      const last = this.#last(span.last)
      this.#slider.max = String(last)
      this.#drawGaps(span, last)
    }
    const at = this.#dragged ?? clock
    if (at === undefined) return
    if (this.#dragged === undefined) this.#slider.value = String(at)
    const inWords = clockWords(at)
    setText(this.#clock, inWords)
    this.#clock.dateTime = new Date(at).toISOString()
    this.#slider.setAttribute('aria-valuetext', inWords)
  }

  /** Keys of the whole page. @returns whether it was one */
  key({ key, repeat }: KeyboardEvent): boolean {
    switch (key) {
      case ' ':
      case 'k':
        if (!repeat) this.#togglePlaying()
        return true
      case 'ArrowLeft':
      case 'ArrowRight':
        this.#moveBy(key === 'ArrowLeft' ? -controlLimits.key : controlLimits.key)
        return true
      case ',':
      case '.':
        this.#player.step(key === ',' ? -1 : 1)
        return true
      case 'l':
        if (!repeat && !this.#player.isOver) this.#player.seek('live')
        return true
      default:
        return false
    }
  }

  /** Several keys in a row add up, whatever of them has been shown by then. */
  #moveBy(milliseconds: number): void {
    const isInRow = performance.now() - this.#soughtAt < controlLimits.row
    const from = isInRow ? this.#soughtTo : this.#figures?.clock
    if (from !== undefined) this.#goTo(from + milliseconds)
  }

  #listen(): void {
    this.#slider.addEventListener('input', () => this.#drag(Number(this.#slider.value)))
    this.#slider.addEventListener('change', () => {
      clearTimeout(this.#seeking)
      this.#dragged = undefined
      this.#goTo(Number(this.#slider.value))
    })
    this.#slider.addEventListener('pointermove', event => this.#point(event))
    this.#slider.addEventListener('pointerleave', () => {
      this.#bubble.hidden = true
    })
    this.#rate.addEventListener('change', () => {
      this.#player.setRate(Number(this.#rate.value))
      // What is on now comes no faster.
      this.#rate.value = String(this.#player.figures.rate)
    })
    this.#slider.addEventListener('keydown', event => {
      if (this.key(event)) event.preventDefault()
    })
  }

  /** What has played to its end plays from its start. */
  #togglePlaying(): void {
    if (this.#player.state.kind === 'ended') this.#player.seek('start')
    else if (this.#player.isPaused) this.#player.play()
    else this.#player.pause()
  }

  /** A picture now and then while the slider moves. */
  #drag(to: number): void {
    this.#dragged = to
    clearTimeout(this.#seeking)
    const wait = Math.max(0, this.#soughtAt + controlLimits.drag - performance.now())
    this.#seeking = setTimeout(() => this.#goTo(to), wait)
  }

  /** @param time wall clock, milliseconds; at the end of what there is, it is live */
  #goTo(time: number): void {
    this.#soughtAt = performance.now()
    this.#soughtTo = time
    const span = this.#figures?.span
    const [first, last] = span === undefined ? [0, time] : [span.first, this.#last(span.last)]
    if (time >= last - 500 && !this.#player.isOver) this.#player.seek('live')
    else this.#player.seek(new Date(Math.min(last, Math.max(first, time))).toISOString())
  }

  /** On air, time goes on between two words of the gateway about it. */
  #last(last: number): number {
    return this.#player.isOver ? last : last + performance.now() - this.#spanAt
  }

  /** Where nothing was on air. */
  #drawGaps({ first, gaps }: Span, last: number): void {
    const share = (at: number): number =>
      Math.round((Math.min(1, Math.max(0, (at - first) / (last - first))) || 0) * 1000) / 10
    const drawn = gaps.map(([from, to]) => [share(from), share(to)] as const)
    const inWords = JSON.stringify(drawn)
    if (inWords === this.#drawnGaps) return
    this.#drawnGaps = inWords
    this.#gaps.replaceChildren(
      ...drawn.map(([from, to]) => {
        const gap = element('span', { title: words.offAir })
        gap.style.left = `${from}%`
        gap.style.width = `${Math.max(0.3, to - from)}%`
        return gap
      }),
    )
  }

  /** The clock under the pointer. */
  #point({ clientX }: PointerEvent): void {
    const { left, width } = this.#slider.getBoundingClientRect()
    const span = this.#figures?.span
    if (span === undefined || width <= 0) return
    const share = Math.min(1, Math.max(0, (clientX - left) / width))
    const last = this.#last(span.last)
    setText(this.#bubble, clockWords(span.first + share * (last - span.first)))
    this.#bubble.style.left = `${share * 100}%`
    this.#bubble.hidden = false
  }

  async #copyLink(): Promise<void> {
    const { clock, gateway } = this.#figures ?? {}
    if (clock === undefined || gateway === undefined) return
    const here = new URL(this.#page)
    here.searchParams.set('from', new Date(clock).toISOString())
    // Where the page's own gateway is gone, a link to it would lead nowhere.
    const url = new URL(here.pathname + here.search, gateway)
    try {
      await navigator.clipboard.writeText(url.href)
      setText(this.#copy, words.copied)
    } catch {
      // The address bar can be copied by hand.
      history.replaceState(null, '', here)
      setText(this.#copy, words.inAddress)
    }
    setTimeout(() => setText(this.#copy, words.copy), 2000)
  }
}
