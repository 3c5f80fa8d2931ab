watch("value", () => {
  if (props.value) document.dispatchEvent(new CustomEvent("wct:shelf", { detail: JSON.parse(JSON.stringify(props.value)) }));
});
