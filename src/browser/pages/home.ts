/** `/`: what is on air, and what was. */
import { thumbnailPath } from '../net/address.ts'
import { spanWords, text } from '../text.ts'
import { element, frame, setText } from './dom.ts'
import './style.css'

interface Listed {
  readonly id: string
  readonly state: string
  readonly startedAt: number
  readonly updatedAt: number
  readonly viewers: number
  readonly title?: string
}

/** Milliseconds between two looks. */
const every = 2000
/** Milliseconds between two pictures of what is on air. */
const thumbnailEvery = 5000
/** Cards that are shown; a gateway may know far more. */
const shown = 200

const status = element('p', { class: 'sentence', role: 'status' }, text.home.loading)
const live = element('ul', { class: 'cards', 'aria-label': text.home.title })
const recorded = element('ul', { class: 'cards', 'aria-label': text.home.recorded })
const recordedHeading = element('h2', { hidden: true }, text.home.recorded)
const empty = element(
  'section',
  { class: 'empty', hidden: true },
  element('p', { class: 'lead' }, text.home.empty),
  element('p', {}, text.home.emptyHint),
)

frame(
  'home',
  element(
    'div',
    { class: 'heading' },
    element('h1', {}, text.home.title),
    element('a', { class: 'button primary', href: '/static/index.html' }, text.home.start),
  ),
  status,
  live,
  empty,
  recordedHeading,
  recorded,
)
document.title = `${text.home.title} · ${text.brand}`

// Ends with the page; a hidden page looks again when it is shown.
async function follow(): Promise<void> {
  for (;;) {
    if (document.hidden)
      await new Promise(resolve => addEventListener('visibilitychange', resolve, { once: true }))
    await look()
    await new Promise(resolve => setTimeout(resolve, every))
  }
}

async function look(): Promise<void> {
  try {
    const response = await fetch('/api/v1/broadcasts', { signal: AbortSignal.timeout(5000) })
    if (!response.ok) throw new Error(String(response.status))
    const { broadcasts } = (await response.json()) as { broadcasts: readonly Listed[] }
    show(broadcasts)
  } catch {
    setText(status, text.home.unreachable)
  }
}

const cards = new Map<string, Card>()

function show(broadcasts: readonly Listed[]): void {
  const now = Date.now()
  const newest = [...broadcasts].sort((a, b) => b.startedAt - a.startedAt).slice(0, shown)
  const over = newest.filter(({ state }) => state === 'ended')
  const on = newest.filter(({ state }) => state !== 'ended')
  setText(status, '')
  const ids = new Set(newest.map(({ id }) => id))
  for (const id of cards.keys()) if (!ids.has(id)) cards.delete(id)
  place(live, on, now)
  place(recorded, over, now)
  empty.hidden = newest.length > 0
  recordedHeading.hidden = over.length === 0
}

/** Cards stay the same elements, so that focus and pictures do. */
function place(list: HTMLElement, listed: readonly Listed[], now: number): void {
  const wanted = listed.map(each => {
    const card = cards.get(each.id) ?? new Card(each.id)
    cards.set(each.id, card)
    card.update(each, now)
    return card.root
  })
  const isSame =
    wanted.length === list.children.length && wanted.every((root, i) => list.children[i] === root)
  if (isSame) return
  const focused = document.activeElement
  list.replaceChildren(...wanted)
  if (focused instanceof HTMLElement) focused.focus()
}

function detail({ state, startedAt, updatedAt, viewers }: Listed, now: number): string {
  if (state === 'ended') return text.home.ago(spanWords(now - updatedAt))
  return `${text.home.since(spanWords(now - startedAt))} · ${text.home.viewers(viewers)}`
}

/** Another address now and then, where what it shows changes. */
const thumbnail = ({ id, state, updatedAt }: Listed, now: number): string =>
  `${thumbnailPath(id)}&at=${state === 'ended' ? updatedAt : Math.floor(now / thumbnailEvery)}`

const tones: Readonly<Record<string, readonly [string, string]>> = {
  live: ['Live', 'live'],
  interrupted: ['Interrupted', 'busy'],
  waiting: ['Waiting', 'calm'],
  ended: ['Ended', 'calm'],
}

class Card {
  readonly root: HTMLElement
  readonly #badge = element('span', { class: 'badge' })
  readonly #image = element('img', { alt: '', loading: 'lazy', width: 256, height: 144 })
  readonly #title = element('strong')
  readonly #id = element('span', { class: 'detail' })
  readonly #detail = element('span', { class: 'detail' })

  constructor(id: string) {
    const parts = [this.#image, this.#badge, this.#title, this.#id, this.#detail]
    this.root = element('li', {}, element('a', { class: 'card', href: `/watch/${id}` }, ...parts))
  }

  update(listed: Listed, now: number): void {
    const [badge, tone] = tones[listed.state] ?? [listed.state, 'calm']
    setText(this.#badge, badge)
    this.#badge.dataset.tone = tone
    setText(this.#title, listed.title ?? listed.id)
    setText(this.#id, listed.id)
    this.#id.hidden = listed.title === undefined
    setText(this.#detail, detail(listed, now))
    const address = thumbnail(listed, now)
    if (this.#image.getAttribute('src') !== address) this.#image.src = address
  }
}

void follow()
