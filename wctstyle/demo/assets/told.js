watch("value", () => {
  if (props.value) document.dispatchEvent(new CustomEvent("wct:note", { detail: { ...props.value } }));
});
