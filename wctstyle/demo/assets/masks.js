watch("value", () => {
  if (props.value) document.dispatchEvent(new CustomEvent("wct:masks", { detail: JSON.parse(JSON.stringify(props.value)) }));
});
