/* Landmarks are told apart by name. What scrolls on its own can be reached, and so scrolled, with the keyboard. */
addEventListener("load", () => {
  document.querySelector("aside.sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector("aside.toc-drawer")?.setAttribute("aria-label", "This page");
  const parts = "article :is(pre, table, .math-block, .wide, .cell_output)";
  const mark = () => {
    for (const part of document.querySelectorAll(parts)) {
      const scrolls = part.scrollWidth > part.clientWidth && /auto|scroll/.test(getComputedStyle(part).overflowX);
      if (scrolls) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    }
  };
  mark();
  addEventListener("resize", mark);
});
