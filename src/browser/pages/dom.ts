/** The few lines that stand between plain TypeScript and the DOM. */
import { text, type Words } from '../text.ts'

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>
type Child = Node | string | undefined

/** @param attributes `true` sets an empty one; `false` and undefined set none */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? '' : String(value))
  }
  made.append(...children.filter(child => child !== undefined))
  return made
}

export function button(label: string, kind: 'primary' | 'plain', onClick: () => void): HTMLButtonElement {
  const made = element('button', { type: 'button', class: `button ${kind}` }, label)
  made.addEventListener('click', onClick)
  return made
}

/** Writes only what has changed: a live region speaks at every write. */
export function setText(node: Element, content: string): void {
  if (node.textContent !== content) node.textContent = content
}

/** A badge and a sentence that follow a state, for eyes and for screen readers. */
export class StateLine {
  readonly badge = element('span', { class: 'badge' })
  readonly sentence = element('p', { class: 'sentence', role: 'status' })

  show({ badge, tone, sentence }: Words): void {
    setText(this.badge, badge)
    this.badge.dataset.tone = tone
    setText(this.sentence, sentence)
  }
}

/** Names with values that change. */
export class Figures {
  readonly root = element('dl', { class: 'figures' })
  readonly #values = new Map<string, HTMLElement>()

  constructor(names: readonly string[]) {
    for (const name of names) {
      const value = element('dd', {}, text.figures.none)
      this.#values.set(name, value)
      this.root.append(element('div', {}, element('dt', {}, name), value))
    }
  }

  /** @param value undefined where it is not known */
  set(name: string, value: string | undefined): void {
    const node = this.#values.get(name)
    if (node !== undefined) setText(node, value ?? text.figures.none)
  }
}

/** Header and main part of a page. @param current which link of the navigation is this page */
export function frame(current: 'home' | 'studio' | 'watch', ...children: readonly Child[]): void {
  const link = (page: 'home' | 'studio', href: string): HTMLElement =>
    element(
      'a',
      { class: 'tab', href, 'aria-current': page === current ? 'page' : undefined },
      text.nav[page],
    )
  document.body.replaceChildren(
    element(
      'header',
      { class: 'top' },
      element('a', { class: 'brand', href: '/' }, mark(), text.brand),
      element(
        'nav',
        { 'aria-label': text.nav.label },
        link('home', '/'),
        link('studio', '/static/index.html'),
      ),
    ),
    element('main', { class: current }, ...children),
  )
}

/** Three frames in a row: the mark. */
function mark(): SVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 28 16')
  svg.setAttribute('aria-hidden', 'true')
  for (const [i, opacity] of [0.35, 0.65, 1].entries()) {
    const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
    const fields = { x: i * 10, y: 1, width: 7, height: 14, rx: 2, opacity }
    for (const [key, value] of Object.entries(fields)) bar.setAttribute(key, String(value))
    svg.append(bar)
  }
  return svg
}
