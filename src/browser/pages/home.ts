/** `/`: what is on air, and what was. */
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

let drawn = ''

function show(broadcasts: readonly Listed[]): void {
  const now = Date.now()
  const newest = [...broadcasts].sort((a, b) => b.startedAt - a.startedAt).slice(0, shown)
  const over = newest.filter(({ state }) => state === 'ended')
  const on = newest.filter(({ state }) => state !== 'ended')
  setText(status, '')
  // Cards that have not changed stay, so that focus and selection do.
  const words = JSON.stringify(newest.map(listed => [listed.id, listed.state, detail(listed, now)]))
  if (words === drawn) return
  drawn = words
  const focused = document.activeElement?.getAttribute('href')
  live.replaceChildren(...on.map(listed => card(listed, now)))
  recorded.replaceChildren(...over.map(listed => card(listed, now)))
  empty.hidden = newest.length > 0
  recordedHeading.hidden = over.length === 0
  if (focused) document.querySelector<HTMLElement>(`a[href="${CSS.escape(focused)}"]`)?.focus()
}

function detail({ state, startedAt, updatedAt, viewers }: Listed, now: number): string {
  if (state === 'ended') return text.home.ago(spanWords(now - updatedAt))
  return `${text.home.since(spanWords(now - startedAt))} · ${text.home.viewers(viewers)}`
}

const tones: Readonly<Record<string, readonly [string, string]>> = {
  live: ['Live', 'live'],
  interrupted: ['Interrupted', 'busy'],
  waiting: ['Waiting', 'calm'],
  ended: ['Ended', 'calm'],
}

function card(listed: Listed, now: number): HTMLElement {
  const [badge, tone] = tones[listed.state] ?? [listed.state, 'calm']
  return element(
    'li',
    {},
    element(
      'a',
      { class: 'card', href: `/watch/${listed.id}` },
      element('span', { class: 'badge', 'data-tone': tone }, badge),
      element('strong', {}, listed.title ?? listed.id),
      element('span', { class: 'detail' }, detail(listed, now)),
    ),
  )
}

void follow()
