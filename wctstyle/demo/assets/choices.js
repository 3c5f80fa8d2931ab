watch("value", () => {
  if (props.value) document.dispatchEvent(new CustomEvent("wct:choices", { detail: JSON.parse(JSON.stringify(props.value)) }));
});
