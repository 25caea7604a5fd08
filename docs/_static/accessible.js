/* What scrolls on its own can be reached, and so scrolled, with the keyboard. */
addEventListener("load", () => {
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
