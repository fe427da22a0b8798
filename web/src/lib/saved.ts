// Small choices kept between visits. A browser may forbid storage; then they last as long as the page.
/* eslint-disable no-restricted-globals -- the one place that touches it */

export function load(name: string): string | null {
  try {
    return localStorage.getItem(`telltale.${name}`);
  } catch {
    return null;
  }
}

export function save(name: string, value: string): void {
  try {
    localStorage.setItem(`telltale.${name}`, value);
  } catch {
    // Nothing is lost but the choice.
  }
}
