/**
 * The next refresh of whichever window an element is in: the page's, or a small one of its own, which goes on being refreshed
 * where the page's tab is hidden. A window that is closed refreshes nothing, so what was asked of another one does not count.
 */
export class Refresh {
  readonly #element: Element
  #asked: { readonly window: Window; readonly id: number } | undefined
  #stopped = false

  constructor(element: Element) {
    this.#element = element
  }

  /** Whether nobody sees the element, so that no refresh comes. */
  get isHidden(): boolean {
    return this.#element.ownerDocument.hidden
  }

  /** Does nothing where one is asked for. */
  ask(call: () => void): void {
    const { defaultView: window } = this.#element.ownerDocument
    if (window === null || this.#stopped || this.#asked?.window === window) return
    this.#forget()
    const id = window.requestAnimationFrame(() => {
      this.#asked = undefined
      call()
    })
    this.#asked = { window, id }
  }

  stop(): void {
    this.#stopped = true
    this.#forget()
  }

  #forget(): void {
    this.#asked?.window.cancelAnimationFrame(this.#asked.id)
    this.#asked = undefined
  }
}
